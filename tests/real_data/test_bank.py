"""A bank's telephone campaign: from July 2009 on it calls other people in another economy."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import KFold, cross_val_predict
from tests.real_data.playing import BIG, DAY, MARGIN, WEEK, Story, play, shared

from truth.traffic import Traffic, effect, spread

pytestmark = pytest.mark.slow

ECONOMY = {"emp.var.rate", "cons.price.idx", "cons.conf.idx", "euribor3m", "nr.employed"}
CUSTOMERS = {"age", "job", "pdays", "previous", "poutcome"}
LEFT_OUT = ["duration", "month", "day_of_week"]
"""A leak, and what the calendar tells."""


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Return all calls, the rows of a month spread over its days."""
    rows = pd.read_csv(shared("bank_marketing.csv.gz"))
    times = spread(pd.PeriodIndex(rows.pop("contact_month"), freq="M"))
    bought = (rows.pop("y") == "yes").to_numpy(int)
    features = rows.drop(columns=LEFT_OUT)
    codes = features.copy()
    for name in features:
        if not pd.api.types.is_numeric_dtype(features[name]):
            codes[name] = features[name].astype("category").cat.codes
    known = times < "2009-07"
    model = HistGradientBoostingClassifier(random_state=0, max_iter=30)
    honest = cross_val_predict(
        model, codes[known], bought[known], cv=KFold(5), method="predict_proba"
    )
    served = model.fit(codes[known], bought[known]).predict_proba(codes)[:, 1]
    served[known] = honest[:, 1]
    return Traffic(features, times, served)


@pytest.fixture(scope="module")
def before(traffic: Traffic) -> Traffic:
    """Return the calls up to June 2009."""
    return traffic.between("2008", "2009-07")


@pytest.fixture(scope="module")
def after(traffic: Traffic) -> Traffic:
    """Return the calls of the second half of 2009."""
    return traffic.between("2009-07", "2010")


@pytest.fixture(scope="module")
def story(before: Traffic, after: Traffic) -> Story:
    """Return what is told of the second half of 2009, every week about the last four."""
    return play(before.reference("binary"), after, every=WEEK, window=4 * WEEK)


def test_the_new_economy_is_found_in_the_first_summer(story):
    """The predictions, the economy and the customers are found by the end of August 2009."""
    found = {name for name, day in story.first().items() if day < "2009-09-01"}
    assert found == {"prediction"} | ECONOMY | CUSTOMERS


def test_every_big_effect_is_found_or_usual(story, before, after):
    """A big effect that is not found is named usual, and is: one day in ten was as far off.

    The reference itself is no calm year: whole months of it were called by landline, some after
    many calls before, and so many of its days differ from it as a whole.
    """
    moved = after.effects(before)
    big = {name for name in moved if moved[name] > BIG}
    assert len(big) > 14
    missed = big - set(story.first())
    assert missed == {"default", "contact", "campaign"}
    assert missed <= story.usual()
    days = pd.date_range("2008-05-01", "2009-06-30", tz="UTC")
    rows = [before.between(day, day + DAY) for day in days]
    for name in missed:
        whole = before.column(name)
        own = [effect(whole, day.column(name)) for day in rows if len(day.times) > 20]
        assert np.quantile(own, 0.9) > moved[name] - MARGIN, name


def test_what_did_not_move_is_not_found(story, before, after):
    """No feature whose effect is below or near the margin is ever found."""
    moved = after.effects(before)
    small = {name for name in moved if moved[name] < MARGIN + 0.01}
    assert small == {"marital", "housing", "loan"}
    assert not small & set(story.first())


def test_no_verdict_exceeds_the_truth(story, before, after):
    """In the rows of every window that is said to have drifted, as much moved as is claimed."""
    assert story.exaggerated(before, after) == []
