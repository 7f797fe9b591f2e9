"""The churn monitor, run as a user runs it, and its figures beside pandas on the same rows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

FOLDER = Path(__file__).parents[2] / "examples" / "churn"
ROWS = Path(os.environ.get("MLWATCH_DATA", FOLDER.parents[2] / "shared" / "data"))
TELCO = ROWS / "telco_churn.csv.gz"
VALUE, COST, SUCCESS = 780, 25, 0.3


@pytest.fixture
def examples(monkeypatch):
    """Return the two scripts as modules, to make the same customers and the same model."""
    monkeypatch.syspath_prepend(FOLDER)
    import basic
    import continuous

    yield basic, continuous
    for name in ("basic", "continuous"):
        del sys.modules[name]


def printed(script: str, *arguments: object) -> str:
    """Return what a script prints, run in a process of its own."""
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(report: str) -> dict[str, float]:
    """Return the first number of each line of a report by what stands before it."""
    found = re.findall(r"^(\w+(?: \[[^\]]*\])?) {2,}(-?[\d,]+(?:\.\d+)?)", report, re.MULTILINE)
    return {name: float(number.replace(",", "")) for name, number in found}


def expected(scores: pd.Series, left: pd.Series) -> dict[str, float]:
    """Return what pandas and scikit-learn make of customers, of whom the first are labelled."""
    high, known = int((scores >= 0.7).sum()), scores[: len(left)]
    saved = high * SUCCESS * VALUE
    return {
        "prediction_count": len(scores),
        "labelled_count": len(left),
        "prediction_mean": scores.mean(),
        "positive_rate": (scores >= 0.5).mean(),
        "accuracy": accuracy_score(left, known >= 0.5),
        "roc_auc": roc_auc_score(left, known),
        "outcome_rate": left.mean(),
        "customers_at_risk [tier=high]": high,
        "customers_at_risk [tier=medium]": ((scores >= 0.4) & (scores < 0.7)).sum(),
        "customers_at_risk [tier=low]": (scores < 0.4).sum(),
        "revenue_at_risk": high * VALUE,
        "contact_cost": high * COST,
        "revenue_saved": saved,
        "retention_roi": (saved - high * COST) / (high * COST),
    }


def assert_shown(report: str, wanted: dict[str, float]) -> None:
    """Assert that a report shows these figures, to the four digits that it prints."""
    found = figures(report)
    for name, value in wanted.items():
        bound = 0.005 if name == "roc_auc" else 0  # from counts: within half the pairs of a gap
        assert found[name] == pytest.approx(value, rel=1e-3, abs=bound), name


def scored(basic, history: pd.DataFrame, batch: pd.DataFrame) -> pd.Series:
    model, _ = basic.train(history)
    return pd.Series(model.predict_proba(batch[basic.FEATURES])[:, 1])


def test_the_basic_form_shows_what_pandas_computes(examples):
    """Risk tiers, money and performance of a batch are those of its rows; newcomers are drift."""
    basic, _ = examples
    report = printed("basic.py")
    batch = basic.make_customers(2000, newcomers=0.4, seed=2)
    scores = scored(basic, basic.make_customers(5000, newcomers=0.1, seed=1), batch)
    assert_shown(report, expected(scores, batch["Churn"][:1000]))
    assert re.search(r"^tenure +ks .* drifted", report, re.MULTILINE)
    assert re.search(r"^MonthlyCharges +ks .* stable", report, re.MULTILINE)


def test_the_continuous_form_ends_and_shows_what_it_served(examples):
    """Every customer is scored, outcomes trail by 200, and what goes wrong is told once."""
    basic, continuous = examples
    report = printed("continuous.py", "--customers", 900)
    customers = continuous.arriving(900)
    scores = scored(basic, basic.make_customers(5000, newcomers=0.1, seed=1), customers)
    assert_shown(report, expected(scores, customers["Churn"][:700]))
    told = [line for line in report.splitlines() if line.startswith("firing   ")]
    assert sum("tenure has drifted" in line for line in told) == 1
    assert sum("revenue_at_risk above 100000" in line for line in told) == 1


def test_the_basic_form_reads_the_rows_of_a_file(examples):
    """Real customers, shuffled, have not drifted, and are worth what pandas says."""
    if not TELCO.exists():
        pytest.skip(f"no {TELCO}: these data do not belong to the project; set MLWATCH_DATA")
    basic, _ = examples
    report = printed("basic.py", TELCO)
    history, batch = basic.load_customers(str(TELCO))
    scores = scored(basic, history, batch)
    assert_shown(report, expected(scores, batch["Churn"][:1000]))
    assert not re.search(r" drifted", report.split("firing")[0].split("verdict")[-1])


@pytest.mark.parametrize("script", ["basic.py", "continuous.py"])
def test_each_form_is_short(script):
    """A monitor like the tutorial's takes less than 80 lines."""
    assert len((FOLDER / script).read_text(encoding="utf-8").splitlines()) < 80
