"""The truth table of the real data: where a model is worse a monitor says so, elsewhere not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score
from tests.real_data.playing import shared

from truth.sets import FILES, RealSet, load
from truth.table import Period, excludes_zero, play, table
from truth.traffic import Traffic

pytestmark = pytest.mark.slow

CONSTANT = {"vicprice", "vicdemand", "transfer"}
SAMPLE = 6
"""One in so many people of the census is enough here; the benchmark plays all of them."""


@cache
def played(name: str) -> tuple[RealSet, tuple[Period, ...]]:
    """Return a set and what a monitor found in it, or skip the test where it is absent."""
    for file in FILES[name]:
        shared(file)
    real = load(name)
    if name == "acs":
        real = replace(real, traffic=thinned(real.traffic), judged=slice(None))
    return real, tuple(play(real))


def thinned(traffic: Traffic) -> Traffic:
    rows = slice(None, None, SAMPLE)
    outcomes = None if traffic.outcomes is None else traffic.outcomes[rows]
    return Traffic(traffic.features[rows], traffic.times[rows], traffic.predictions[rows], outcomes)


def changes(name: str, figure: str) -> list[tuple[float, float]]:
    """Return the interval of the change of a figure, period by period."""
    found = [period.change(figure) for period in played(name)[1]]
    return [(change.low, change.high) for change in found]


@pytest.mark.parametrize("name", ["bank", "acs", "electricity", "bike"])
def test_the_figures_are_those_of_the_raw_rows(name):
    """What is shown of each period is what scikit-learn computes from its rows."""
    real, periods = played(name)
    for period in periods:
        rows = real.traffic.between(period.since, period.until)
        if name == "bike":
            value = mean_absolute_error(rows.outcomes, rows.predictions)
            assert period.figure("mae").value == pytest.approx(value, rel=1e-9)
            continue
        auc = roc_auc_score(rows.outcomes, rows.predictions)
        right = accuracy_score(rows.outcomes, rows.predictions >= 0.5)
        assert period.figure("roc_auc").value == pytest.approx(auc, abs=1e-9)
        assert period.figure("accuracy").value == pytest.approx(right, abs=1e-12)


def test_the_bank_loses_and_drifts():
    """From July 2009 on far fewer are predicted right, worse beyond the margin in each quarter."""
    _, periods = played("bank")
    assert periods[0].figure("accuracy").reference > 0.9
    for period in periods:
        assert 0.5 < period.figure("accuracy").value < 0.66
        assert period.change("accuracy").high < -0.2
        assert period.change("accuracy").verdict == "drifted"
        assert period.drifted >= {"euribor3m", "nr.employed", "cons.conf.idx"}


def test_the_bank_ranks_worse_than_rows_at_random_let_expect():
    """AUC .72 falls to .60-.70, certainly so until the middle of 2010."""
    _, periods = played("bank")
    assert periods[0].figure("roc_auc").reference == pytest.approx(0.72, abs=0.01)
    values = [period.figure("roc_auc").value for period in periods]
    assert values == pytest.approx([0.60, 0.62, 0.64, 0.65, 0.70, 0.70], abs=0.02)
    assert all(high < 0 for _, high in changes("bank", "roc_auc")[:4])
    assert all(low < 0 < high for low, high in changes("bank", "roc_auc")[4:])


def test_nothing_is_said_of_the_census():
    """In three years no figure has certainly changed, no verdict is bad, and nothing drifts."""
    _, periods = played("acs")
    for period in periods:
        assert period.drifted == set()
        assert not period.prediction
        for figure in ("roc_auc", "accuracy"):
            assert period.change(figure).verdict == "stable"
            assert not excludes_zero(period.change(figure))


def test_no_figure_of_the_census_is_called_worse():
    """Not only the two that are shown: of all figures of all years none has a bad verdict."""
    _, periods = played("acs")
    verdicts = {
        metric.verdict
        for period in periods
        for metric in period.metrics
        if metric.name == "performance_change"
    }
    assert verdicts <= {"stable", "not enough data", ""}


def test_electricity_is_worse_in_every_quarter_but_one():
    """By quarter .87 .81 .67 .79 .66 .69 .91 .86 against .91: certainly worse but in 1998Q3."""
    _, periods = played("electricity")
    values = [period.figure("roc_auc").value for period in periods]
    assert values == pytest.approx([0.87, 0.81, 0.67, 0.79, 0.66, 0.69, 0.91, 0.86], abs=0.015)
    calm, others = periods[6], [*periods[:6], *periods[7:]]
    for figure in ("roc_auc", "accuracy"):
        assert not excludes_zero(calm.change(figure))
        assert calm.change(figure).verdict == "stable"
        assert all(period.change(figure).high < 0 for period in others)
    assert [period.change("roc_auc").verdict for period in periods[1:5]] == ["drifted"] * 4


def test_electricity_drifts_without_a_loss_in_the_third_quarter_of_1998():
    """What was constant drifts from the second quarter of 1997 on, also where nothing is lost."""
    _, periods = played("electricity")
    assert not periods[0].drifted & CONSTANT
    assert all(period.drifted >= CONSTANT for period in periods[1:])


def test_bicycles_outgrow_their_model():
    """MAE 79 90 102 82 against 38; far more are hired than predicted, and only seasons drift."""
    _, periods = played("bike")
    values = [period.figure("mae").value for period in periods]
    assert values == pytest.approx([79, 90, 102, 82], abs=1.5)
    assert periods[0].figure("mae").reference < 46
    for period in periods:
        assert period.change("mae").low > 30
        assert period.change("mae").verdict == "drifted"
        mean, true = period.figure("prediction_mean"), period.figure("outcome_mean")
        assert mean.high < true.low
        assert period.drifted <= {"season", "temp", "atemp", "hum"}
    means = [(p.figure("prediction_mean").value, p.figure("outcome_mean").value) for p in periods]
    assert np.array(means) == pytest.approx(
        np.array([(90, 168), (178, 263), (190, 288), (143, 219)]), abs=1.5
    )


def test_the_table_says_it():
    """The lines that are printed name each period, its figures, the verdict and what drifted."""
    real, periods = played("electricity")
    lines = list(table(real, periods))
    assert [line.split()[0] for line in lines if "roc_auc" in line][-2:] == ["1998Q3", "1998Q4"]
    calm = lines.index(next(line for line in lines if line.startswith("1998Q3")))
    assert lines[calm].endswith("no worse")
    assert "drifted: the prediction, nswdemand, nswprice, transfer" in lines[calm + 2]
    assert sum(line.endswith("WORSE") for line in lines) >= 8
