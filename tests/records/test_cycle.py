"""The report of a cycle: found by name, as a table, as a row, as text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.traffic import START

from mlwatch.collectors import error_rate
from mlwatch.collectors.concept.classes import OUTCOMES, RELATION
from mlwatch.detectors import correlation, domain_classifier
from mlwatch.records import CycleReport, DriftResult, Fault, Metric, Severity
from mlwatch.records.results import WITHIN
from mlwatch.records.table import APART
from mlwatch.testing.checks import sample_alert
from mlwatch.training import PREDICTION

HOSTILE = "x\nno drift found\r\x1b[31m\x00\u202e\u2028\tdrifted"


def result(feature, drifted, **others):
    values = {"effect": 0.31, "effect_low": 0.25, "why": "why", "missing": 2, "unseen": 3, **others}
    return DriftResult(
        feature, "ks", 0.31, p_value=1e-9, n=1234, n_reference=98_765, drifted=drifted, **values
    )


REPORT = CycleReport(
    model="churn",
    model_version="2",
    since=START,
    time=START + timedelta(days=1),
    metrics=(
        Metric("accuracy", 0.7, 0.6, 0.8, 500, model_version="1"),
        Metric("accuracy", 0.9, 0.88, 0.92, 1500, model_version="2"),
        Metric("recall", None, n=12, why="not enough data: 12 of 30", model_version="2"),
        Metric("latency_ms", 12.5, n=9, labels={"quantile": "0.5"}, model_version="2"),
        Metric("latency_ms", 99.5, n=9, labels={"quantile": "0.99"}, model_version="2"),
        Metric("drift", 0.31, labels={"feature": "age", "detector": "ks"}, model_version="2"),
    ),
    drift=(result("age", drifted=True), result("city", drifted=False), result("new", drifted=None)),
    alerts=(sample_alert(Severity.CRITICAL),),
    faults=(Fault("detector mine", "ValueError: boom"),),
)


def test_a_metric_by_name_is_that_of_the_own_version():
    """`report["accuracy"]` is the metric of the monitor's own model version."""
    assert REPORT["accuracy"].value == 0.9
    assert REPORT["latency_ms"].labels == {"quantile": "0.5"}


def test_metrics_by_name_and_labels():
    """`find` gives every metric of a name that has the labels."""
    assert [metric.value for metric in REPORT.find("accuracy")] == [0.7, 0.9]
    assert [metric.value for metric in REPORT.find("latency_ms", quantile="0.99")] == [99.5]
    assert REPORT.find("latency_ms", quantile="0.1") == ()


@pytest.mark.parametrize(("name", "near"), [("acuracy", "accuracy"), ("zzz", "recall")])
def test_a_wrong_name_is_told_what_there_is(name, near):
    """A metric that is not there raises KeyError, naming near matches or all there are."""
    with pytest.raises(KeyError, match=f"'{name}'.*{near}"):
        REPORT[name]


def test_a_frame_of_the_metrics():
    """Each metric is a row, in order, with its interval, rows and reason."""
    frame = REPORT.to_frame()

    assert frame["name"].tolist() == [metric.name for metric in REPORT.metrics]
    assert frame.loc[1, ["value", "low", "high", "n"]].tolist() == [0.9, 0.88, 0.92, 1500]
    assert frame.loc[2, "why"] == "not enough data: 12 of 30"
    assert len(CycleReport(model="m", model_version="", since=START, time=START).to_frame()) == 0


def test_a_flat_row():
    """The cycle is one flat row: intervals beside values, labels and versions in brackets."""
    row = REPORT.to_row()

    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == (0.9, 0.88, 0.92)
    assert row["accuracy[model_version=1]"] == 0.7
    assert row["latency_ms[quantile=0.99]"] == 99.5
    assert row["drift[detector=ks,feature=age]"] == 0.31
    assert row["recall"] is None
    assert "recall_low" not in row
    assert (row["model"], row["time"], row["alerts"], row["faults"]) == (
        "churn", START + timedelta(days=1), 1, 1,
    )  # fmt: skip


def test_the_text_shows_every_verdict():
    """The first lines say what drifted; each result shows its verdict, sizes and counts."""
    lines = str(REPORT).splitlines()
    by_feature = {line.split()[0]: line for line in lines if " ks " in line}

    assert lines[0].startswith("churn 2  2024-01-01 00:00 to 2024-01-02 00:00 UTC")
    assert "1 of 3 features has drifted: age (at least 25% of the traffic)" in lines[1]
    assert "not enough data for 1 of 3 features" in lines[1]
    assert "monitoring faults: 1" in lines[1]
    for feature, verdict in (("age", "drifted"), ("city", "stable"), ("new", "not enough data")):
        for shown in (verdict, "1,234", "98,765", "0.31", "0.25", "<1e-4"):
            assert shown in by_feature[feature]
    assert "not enough data: 12 of 30" in next(line for line in lines if line.startswith("recall"))
    assert any("0.88 to 0.92" in line for line in lines)
    assert any(line.startswith("firing: [critical]") for line in lines)
    assert "monitoring fault in detector mine: ValueError: boom" in lines


@pytest.mark.parametrize(
    ("drift", "headline"),
    [
        ((), "no drift was judged"),
        ((result("a", drifted=False),), "no drift found"),
        ((result("a", drifted=None),), "not enough data for 1 of 1 feature"),
    ],
)
def test_nothing_found_and_nothing_known_are_two_things(drift, headline):
    """The headline tells "no drift found" from "nothing could be judged"."""
    report = CycleReport(model="m", model_version="", since=START, time=START, drift=drift)

    assert str(report).splitlines()[1] == headline


def told(*drift, **others):
    """Return the lines of a report."""
    day = {"since": START, "time": START + timedelta(days=1)}
    return str(CycleReport(model="m", model_version="", **day, drift=drift, **others)).splitlines()


def row(lines, feature):
    """Return the cells of the one drift row of a feature."""
    (found,) = [line for line in lines if line.startswith(f"{feature}  ")]
    return re.split(" {2,}", found)


def sizes(**lows):
    """Return a drifted result of each feature."""
    return [result(name, drifted=True, effect_low=low) for name, low in lows.items()]


def stable(name):
    """Return a result of which nothing is certain."""
    return result(name, drifted=False)


@pytest.mark.parametrize(
    ("drift", "headline"),
    [
        (sizes(prediction=0.4), "prediction has drifted (at least 40% of the traffic)"),
        (
            [*sizes(prediction=0.4, x=0.2, y=0.3), result("z", drifted=False)],
            (
                "prediction and 2 of 3 features have drifted, worst first: "
                "y (at least 30% of the traffic), x"
            ),
        ),
        (
            sizes(prediction=0.4, error_rate=0.1, x=0.2),
            (
                "prediction, error_rate and 1 of 1 feature have drifted: "
                "x (at least 20% of the traffic)"
            ),
        ),
        (
            sizes(a=0.1, b=0.2, c=0.3, d=0.4, e=0.5, f=0.6, g=0.7),
            (
                "7 of 7 features have drifted, worst first: "
                "g (at least 70% of the traffic), f, e, d, c and 2 more"
            ),
        ),
        (sizes(x=0.0), "1 of 1 feature has drifted: x"),
        (
            [result("prediction", drifted=None), result("x", drifted=False)],
            "no drift found; not enough data for prediction",
        ),
        (
            [result("x", drifted=None), replace(result("x", drifted=False), detector="missing")],
            "no drift found",
        ),
    ],
)
def test_the_headline_names_what_drifted_and_counts_features_apart(drift, headline):
    """The prediction is no feature; of features the worst are named, and how many more there are.

    A feature of which one detector knows enough is judged, as in the metric `drifted_features`.
    """
    assert told(*drift)[1] == headline


@pytest.mark.parametrize(
    ("drift", "headline"),
    [
        (
            [*sizes(prediction=0.4, x=0.2, outcomes=0.129), stable("y"), stable("relation")],
            (
                "inputs moved: prediction and 1 of 2 features: x (at least 20% of the traffic); "
                "outcomes moved (at least 12%); their relation did not move"
            ),
        ),
        (
            [stable("x"), *sizes(relation=0.3), stable("outcomes")],
            "inputs did not move; outcomes did not move; their relation moved (at least 30%)",
        ),
        (
            [stable("x"), replace(stable("outcomes"), caveats=(WITHIN,)), stable("relation")],
            (
                "inputs did not move; outcomes moved, not certainly by the margin; "
                "their relation did not move"
            ),
        ),
        (
            [stable("x"), *(result(name, drifted=None) for name in ("outcomes", "relation"))],
            (
                "inputs did not move; "
                "not enough labels to say whether outcomes or their relation moved"
            ),
        ),
        (
            [result("x", drifted=None), stable("outcomes"), *sizes(relation=0.004, error_rate=0.2)],
            (
                "not enough data for 1 of 1 feature; outcomes did not move; their relation moved; "
                "the error rate grew"
            ),
        ),
    ],
)
def test_the_headline_tells_inputs_outcomes_and_their_relation_apart(drift, headline):
    """Where outcomes were looked at it says of each of the three whether it moved."""
    assert told(*drift)[1] == headline


def test_what_is_no_feature_is_known_to_the_report():
    """What goes by a name of its own beside the features is not counted as one."""
    own = {error_rate.SUBJECT, correlation.FEATURE, domain_classifier.FEATURE}
    assert {PREDICTION, OUTCOMES, RELATION} | own == APART


def test_versions_are_told_apart():
    """What another model version's traffic did is told as such, in the headline and the table."""
    other = replace(result("x", drifted=True), model_version="2")
    lines = told(result("x", drifted=False), other)

    assert lines[1] == (
        "no drift found; "
        "model_version 2: 1 of 1 feature has drifted: x (at least 25% of the traffic)"
    )
    assert row(lines, "x")[-1] == "stable"
    assert row(lines, "x [model_version=2]")[-1] == "drifted"


def test_an_alert_of_another_version_says_so():
    """A canary's alert, new or still firing, is not taken for one of the version in service."""
    old, new = (replace(sample_alert(), id=key, title="x has drifted") for key in "ab")
    for version, shown in (("", ""), ("2", " [model_version=2]")):
        alerts = [replace(alert, model_version=version) for alert in (old, new)]
        lines = told(alerts=alerts[1:], firing=alerts)

        assert sum(line.endswith(f"x has drifted{shown}") for line in lines) == 2


@pytest.mark.parametrize(
    ("hours", "shown"),
    [(24, "1 day"), (24.8, "1 day"), (168, "7 days"), (36, "36 hours"), (6, "6 hours")],
)
def test_a_row_says_what_span_it_is_of(hours, shown):
    """Whether the last day or the last week decided stands in the row."""
    spanning = replace(result("x", drifted=True), since=START, time=START + timedelta(hours=hours))

    assert row(told(spanning), "x")[2] == shown


def test_the_drift_table_fits_a_screen():
    """With names as they are in practice no line of the table has more than 100 columns."""
    day = {"since": START, "time": START + timedelta(days=28)}
    lacking = replace(result("cons.price.idx", drifted=None, missing=0, unseen=0), **day)
    drifted = replace(result("education", drifted=True, caveats=("a", "b")), **day)
    rows = [replace(lacking, detector="chi_square", n=999_999), replace(drifted, n=1)]

    for some in (rows[:1], rows[1:]):
        assert max(map(len, told(*some)[2:])) <= 100


def test_what_is_said_of_many_rows_is_said_once():
    """Caveats, and what is lacking, are numbered notes below the table."""
    lines = told(
        result("a", drifted=False, caveats=("usual",)),
        result("b", drifted=True, caveats=("uncalibrated", "usual")),
        result("c", drifted=None, why="not enough data: need 9 more rows"),
        result("d", drifted=False),
    )

    assert [row(lines, name)[-1] for name in "abcd"] == [
        "stable [2]", "drifted [1] [2]", "not enough data [3]", "stable",
    ]  # fmt: skip
    assert lines[-3:] == ["[1] uncalibrated", "[2] usual", "[3] need 9 more rows"]


def test_what_drifted_comes_first():
    """Rows that drifted come before those that lack data, and these before stable ones."""
    drift = [result(name, verdict) for name, verdict in (("s", False), ("n", None), ("d", True))]

    assert [line[0] for line in told(*drift)[4:7]] == ["d", "n", "s"]


def test_counts_that_are_all_zero_take_no_room():
    """The columns of missing, unseen and wrong values are shown where there are any."""
    clean = result("a", drifted=True, missing=0, unseen=0)
    (heads,) = [line for line in told(clean) if line.startswith("feature")]
    assert re.split(" {2,}", heads)[-2:] == ["n ref", "verdict"]

    (heads,) = [line for line in told(clean, replace(clean, unseen=4)) if "verdict" in line]
    assert re.split(" {2,}", heads)[-2:] == ["unseen", "verdict"]


@pytest.mark.parametrize(
    ("hidden", "line"),
    [
        (1, "(1 comparison in which nothing moved is not shown)"),
        (2, "(2 comparisons in which nothing moved are not shown)"),
    ],
)
def test_how_many_rows_are_not_shown(hidden, line):
    """Comparisons in which nothing moved are counted, not shown, one or many."""
    still = [result(f"x{place}", drifted=False, effect=0.0) for place in range(hidden)]

    assert told(result("a", drifted=True), *still)[-1] == line


def test_one_blank_line_between_sections():
    """The verdict, the metrics, the drift and the alerts are one blank line apart."""
    text = "\n".join(told(result("a", drifted=True), metrics=REPORT.metrics, alerts=REPORT.alerts))

    assert len(text.split("\n\n")) == 4
    assert "\n\n\n" not in text
    assert text == text.strip()


def test_an_alert_says_why():
    """Below an alert stands what was found, in the cycle in which it fired and later."""
    about = {"title": "x has drifted", "why": "higher than is usual", "model_version": ""}
    alert = replace(sample_alert(), **about)
    new, old = told(alerts=(alert,), firing=(alert,)), told(firing=(alert,))

    assert new[-2:] == ["firing: [warning] x has drifted", "    higher than is usual"]
    assert old[-2].startswith("still firing since 20")
    assert old[-1] == new[-1]


def test_thousands_are_set_apart_in_every_column():
    """A value of a thousand reads like the number of rows beside it."""
    lines = told(metrics=(Metric("prediction_count", 2323.0, n=2323),))

    assert lines[-1].split() == ["prediction_count", "2,323", "2,323"]


def test_hostile_names_stay_in_their_line():
    """No name, label, reason or message of the outside can start a line of its own or hide one."""

    def report(text):
        return CycleReport(
            model=text,
            model_version=text,
            since=START,
            time=START,
            metrics=(Metric(text, 0.5, labels={text: text}, why=text, model_version=text),),
            drift=(
                result(text, drifted=True, why=text, caveats=(text,)),
                result(text, drifted=None, why=text),
            ),
            alerts=(sample_alert(),),
            faults=(Fault(text, text),),
        )

    hostile = str(report(HOSTILE))

    assert len(hostile.splitlines()) == len(str(report("plain")).splitlines())
    assert all(char.isprintable() or char == "\n" for char in hostile)
    assert r"x\nno drift found" in hostile
