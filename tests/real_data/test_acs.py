"""Census of Massachusetts, the negative control: in three years nothing moved that matters."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, ks_2samp
from tests.collectors.scored import counted, measured
from tests.real_data.playing import BIG, MARGIN, WEEK, Story, play, shared

from mlwatch import Reference
from truth.traffic import Traffic, effect, spread

pytestmark = pytest.mark.slow

YEARS = ["2016", "2017", "2018"]
REFERENCE = "acs_employment_ma_2015_reference.csv.gz"
NO_FEATURES = ["id", "year", "prediction", "predicted_probability", "employed"]
LATER = "acs_employment_ma_2016_2018_predictions.csv.gz"
LABELS = "acs_employment_ma_2016_2018_labels.csv.gz"


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Return all people in the order of the files."""
    return pd.concat([pd.read_csv(shared(REFERENCE)), pd.read_csv(shared(LATER))])


@pytest.fixture(scope="module")
def traffic(people: pd.DataFrame) -> Traffic:
    """Return all people, each on some day of his year.

    The files know the year alone, and list in one block those of 2017 and 2018 who live in
    institutions and other shared quarters: in that order the traffic would change indeed.
    """
    return served(people.groupby("year").sample(frac=1, random_state=0))


def served(rows: pd.DataFrame) -> Traffic:
    """Return the rows of each year in their order, spread over its days; codes are categories."""
    times = spread(pd.PeriodIndex(rows["year"].astype(str), freq="Y"))
    predictions = rows["predicted_probability"].to_numpy()
    features = rows.drop(columns=NO_FEATURES)
    codes = features.columns.drop("AGEP")
    return Traffic(features.astype(dict.fromkeys(codes, str)), times, predictions)


@pytest.fixture(scope="module")
def before(traffic: Traffic) -> Traffic:
    """Return 2015."""
    return traffic.between("2015", "2016")


@pytest.fixture(scope="module")
def story(before: Traffic, traffic: Traffic) -> Story:
    """Return what is told from 2016 to 2018, every week about the last one."""
    return weekly(before, traffic.between("2016", "2019"))


def weekly(before: Traffic, live: Traffic) -> Story:
    """Return what is told under the default policy, every week about the last one."""
    return play(before.reference("binary"), live, every=WEEK, window=WEEK)


def p_value(before: pd.Series, now: pd.Series) -> float:
    """Return the p-value of the test that is usual for such a feature."""
    if pd.api.types.is_numeric_dtype(before):
        return ks_2samp(before, now, method="asymp").pvalue
    counts = [before.value_counts(), now.value_counts()]
    return chi2_contingency(pd.concat(counts, axis=1).fillna(0)).pvalue


def test_three_years_are_silent(story):
    """In 157 weeks of 1,300 people no alert is told and no verdict is anything but stable."""
    assert len(story.reports) == 157
    assert story.alerts == []
    assert story.first() == {}
    verdicts = [result.verdict for report in story.reports for result in report.drift]
    assert len(verdicts) >= 157 * 17
    assert set(verdicts) == {"stable"}


def test_the_budget_held_on_its_own_days(story):
    """The backtest on the last days counts no false alarm."""
    assert story.backtest == ["your last 28 days: 0 alarms, budget 1"]


@pytest.mark.parametrize("year", YEARS)
def test_nothing_moved_that_matters(traffic, before, year):
    """In no year did any feature, or the prediction, move by the margin."""
    assert max(traffic.between(year, str(int(year) + 1)).effects(before).values()) < MARGIN


@pytest.mark.parametrize(("year", "least"), [("2016", 2), ("2017", 3), ("2018", 7)])
def test_p_values_alone_would_have_alarmed(traffic, before, year, least):
    """On the same rows p < .01, shared among the features, finds "drift" in every year."""
    now = traffic.between(year, str(int(year) + 1))
    names = list(now.features)
    found = [n for n in names if p_value(before.column(n), now.column(n)) < 0.01 / len(names)]
    assert len(found) >= least


def test_the_silence_is_not_deafness(traffic, before):
    """Half of the people made 20 years older from October 2018 on are found in weeks."""
    live = traffic.between("2018-08-01", "2018-12-30")
    aged = (live.times >= "2018-10-01") & (np.arange(len(live.times)) % 2 == 0)
    features = live.features.assign(AGEP=live.features["AGEP"] + 20.0 * aged)
    moved = effect(before.features["AGEP"], features["AGEP"][live.times >= "2018-10-01"])
    assert BIG < moved < 0.2
    story = weekly(before, Traffic(features, live.times, live.predictions))
    first = story.first()
    assert set(first) == {"AGEP"}
    assert "2018-10-01" < first["AGEP"] < "2018-10-31"
    assert [alert.labels["feature"] for alert in story.alerts] == ["AGEP"]


def test_a_block_of_other_people_is_found(people, before):
    """In the order of the file 2017 ends with shared quarters: found in days, and true."""
    autumn = served(people.query("year == 2017")).between("2017-11-01", "2017-12-31")
    story = weekly(before, autumn)
    first = story.first()
    assert min(first.values()) > "2017-11-29"
    assert {"prediction", "AGEP", "SCHL", "RELP", "MAR"} <= set(first)
    assert story.exaggerated(before, autumn) == []


def test_accuracy_is_estimated_before_labels_come():
    """Of 20 chunks of 10,000 people the estimate is off by .005 on average, half of a constant's.

    The method from raw rows is off by .0048 there, and the chunks' own sampling by .003.
    """
    past = pd.read_csv(shared(REFERENCE))
    later = pd.read_csv(shared(LATER)).merge(pd.read_csv(shared(LABELS)), on="id")
    scores, true = past["predicted_probability"].to_numpy(), past["employed"].to_numpy()
    reference = Reference.fit({"x": scores}, predictions=scores, outcomes=true, task="binary")
    usual = np.mean((scores >= 0.5) == true)
    off, off_if_constant, trusted = [], [], []
    for start in range(0, 200_000, 10_000):
        rows = later[start : start + 10_000]
        served = rows["predicted_probability"].to_numpy()
        came = rows["employed"].to_numpy()
        realised = np.mean((served >= 0.5) == came)
        found = measured(counted(reference, served, came, 10_000))
        estimated = found["estimated_accuracy"]
        assert found["accuracy"].value == pytest.approx(realised - estimated.value, abs=1e-12)
        trusted.append(not estimated.verdict)
        off.append(abs(realised - estimated.value))
        off_if_constant.append(abs(realised - usual))
    assert np.mean(off) < 0.005
    assert np.mean(off) < 0.6 * np.mean(off_if_constant)
    assert sum(trusted) >= 15, "10,000 labels show small changes of the rates, in few chunks"
