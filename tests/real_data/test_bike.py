"""Hired bicycles: demand grows in 2012, and the weather has its seasons."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict
from tests.real_data.playing import BIG, MARGIN, WEEK, Story, play, shared

from truth.traffic import Traffic

pytestmark = pytest.mark.slow

CALENDAR = ["season", "holiday", "weekday", "workingday", "hr"]
WEATHER = ["weathersit", "temp", "atemp", "hum", "windspeed"]
QUARTERS = ["2012-01", "2012-04", "2012-07", "2012-10", "2013"]


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Return all hours, scored every six hours by a model of the year 2011."""
    rows = pd.read_csv(shared("bike_sharing_hour.csv.gz"))
    times = pd.DatetimeIndex(pd.to_datetime(rows["timestamp"], utc=True)).floor("6h")
    hired = rows["cnt"].to_numpy(float)
    features = rows[CALENDAR + WEATHER]
    known = times < "2012"
    model = HistGradientBoostingRegressor(random_state=0, max_iter=60)
    honest = cross_val_predict(model, features[known], hired[known], cv=KFold(12))
    served = model.fit(features[known], hired[known]).predict(features)
    served[known] = honest
    return Traffic(features, times, served, hired)


@pytest.fixture(scope="module")
def before(traffic: Traffic) -> Traffic:
    """Return 2011."""
    return traffic.between("2011", "2012")


@pytest.fixture(scope="module")
def story(traffic: Traffic, before: Traffic) -> Story:
    """Return what is told of 2012, every week about the last four."""
    live = traffic.between("2012", "2013")
    return play(before.reference("regression"), live, every=WEEK, window=4 * WEEK)


def test_the_predictions_drift_in_january(story):
    """A winter's predictions are not a year's: they are found as soon as there are enough rows."""
    first = story.first()
    assert "2012-01-08" < first["prediction"] <= "2012-01-31"
    assert {"prediction", "season", "temp", "atemp"} <= story.drifted("2012-01-01", "2012-02-01")


@pytest.mark.parametrize(("since", "until"), list(pairwise(QUARTERS)))
def test_what_moved_most_is_found_in_every_quarter(story, traffic, before, since, until):
    """What moved by more than .25 in the raw rows of a quarter is found in it."""
    moved = traffic.between(since, until).effects(before)
    assert story.drifted(since, until) >= {name for name in moved if moved[name] > 0.25}


def test_what_stays_in_place_is_not_found(story, traffic, before):
    """What moves in no quarter by a big effect is never found: hours, weekdays, clouds, wind."""
    quarters = [
        traffic.between(since, until).effects(before) for since, until in pairwise(QUARTERS)
    ]
    small = {name for name in quarters[0] if all(moved[name] < BIG for moved in quarters)}
    assert small == {"holiday", "weekday", "workingday", "hr", "weathersit", "windspeed"}
    assert not small & set(story.first())


def test_the_weather_is_only_seasonal(traffic, before):
    """Year against year hardly anything moves: what is found in 2012 are seasons."""
    moved = traffic.between("2012", "2013").effects(before)
    assert max(moved.values()) < MARGIN + 0.02


def test_the_growth_shows_in_the_outcomes(story, before):
    """All year people hire far more than is predicted, and the error is far above 2011's."""
    honest = np.abs(before.outcomes - before.predictions).mean()
    assert honest < 50
    for report in story.reports[8:]:
        known = {metric.name: metric.value for metric in report.metrics}
        assert known["outcome_mean"] > 1.3 * known["prediction_mean"]
        assert known["mae"] > 1.3 * honest


def test_no_verdict_exceeds_the_truth(story, traffic, before):
    """In the rows of every window that is said to have drifted, as much moved as is claimed."""
    assert story.exaggerated(before, traffic.between("2012", "2013")) == []
