"""Prices of electricity in New South Wales: three features come alive on 1997-05-05."""

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.real_data.playing import BIG, WEEK, Story, play, shared

from truth.traffic import Traffic

pytestmark = pytest.mark.slow

ALIVE = "1997-05-05"
CONSTANT = {"vicprice", "vicdemand", "transfer"}


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Return all half-hours, scored every six hours by a model of the year 1996."""
    rows = pd.read_csv(shared("electricity_nsw.csv.gz"))
    times = pd.DatetimeIndex(pd.to_datetime(rows.pop("timestamp"), utc=True)).floor("6h")
    rises = rows.pop("class")
    known = times < "1997"
    model = make_pipeline(StandardScaler(), LogisticRegression())
    honest = cross_val_predict(
        model, rows[known], rises[known], cv=KFold(5), method="predict_proba"
    )
    served = model.fit(rows[known], rises[known]).predict_proba(rows)[:, 1]
    served[known] = honest[:, 1]
    return Traffic(rows, times, served)


@pytest.fixture(scope="module")
def year(traffic: Traffic) -> Traffic:
    """Return 1996, in which three of the features never change."""
    return traffic.between("1996", "1997")


@pytest.fixture(scope="module")
def spring(traffic: Traffic, year: Traffic) -> Story:
    """Return what is told from February to June 1997, with a cycle every day."""
    return play(year.reference("binary"), traffic.between("1997-02", "1997-07"))


@pytest.fixture(scope="module")
def winter(traffic: Traffic, year: Traffic) -> Story:
    """Return what is told from June to September 1998, with a cycle every week."""
    rows = traffic.between("1998-06-01", "1998-09-28")
    return play(year.reference("binary"), rows, every=WEEK)


def test_constants_that_come_alive_are_found_within_days(spring):
    """What was constant until 1997-05-05 is found on the second or third day, not before it."""
    first = spring.first()
    assert set(first) >= CONSTANT
    for feature in CONSTANT:
        assert ALIVE < first[feature] <= "1997-05-08", feature


def test_they_are_told_once_and_stay(spring):
    """Each of the three fires one alert, which is not resolved: they do not go back."""
    told = [alert for alert in spring.alerts if alert.labels.get("feature") in CONSTANT]
    assert {alert.labels["feature"] for alert in told} == CONSTANT
    assert len(told) == len(CONSTANT)
    assert {alert.state for alert in told} == {"firing"}


def test_before_that_nothing_is_said_of_them(spring):
    """As long as they stand still, no verdict, figure or message claims that they moved."""
    before = [
        result
        for report in spring.reports
        if f"{report.time:%Y-%m-%d}" <= ALIVE
        for result in report.drift
        if result.feature in CONSTANT
    ]
    assert before
    assert not [result for result in before if result.drifted or result.effect]


def test_what_never_changes_is_never_found(spring, winter):
    """The time of day is the same in every week of every year."""
    assert "period" not in {*spring.first(), *winter.first()}


def test_a_year_later_the_inputs_still_drift(winter, traffic, year):
    """In 1998Q3 the features with a big effect in the raw rows are drifted, week after week."""
    quarter = traffic.between("1998-07-01", "1998-09-28")
    big = {name for name, moved in quarter.effects(year).items() if moved > BIG}
    assert big >= CONSTANT
    assert winter.drifted("1998-07-01", "1998-10-01") >= big
    for report in winter.reports[-12:]:
        assert {result.feature for result in report.drift if result.drifted} >= CONSTANT


def test_no_verdict_exceeds_the_truth(spring, winter, traffic, year):
    """In the rows of every window that is said to have drifted, as much moved as is claimed."""
    live = traffic.between("1997", "1999")
    assert spring.exaggerated(year, live) == []
    assert winter.exaggerated(year, live) == []
