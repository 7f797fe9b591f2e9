"""Rules: a metric becomes a finding, and what cannot be judged becomes none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch import ConfigurationError, Metric, Severity
from mlwatch.alerting import Drifted, MonitoringFault, Threshold


def found(rule, *metrics):
    """Return what a rule says of each metric that it says something of."""
    return [finding.firing for finding in rule(metrics)]


def values(*numbers):
    return [Metric("m", number) for number in numbers]


def test_a_threshold_fires_beyond_its_limit():
    """Above and below are strict: a metric at its limit is on the good side."""
    assert found(Threshold("m", above=0.5), *values(0.4, 0.5, 0.6)) == [False, False, True]
    assert found(Threshold("m", below=0.5), *values(0.4, 0.5, 0.6)) == [True, False, False]
    assert found(Threshold("m", below=0), *values(-1, 0, 1)) == [True, False, False]


def test_a_threshold_stays_as_it_is_between_limit_and_clear():
    """With `clear` a metric that is only just good leaves the alert as it is."""
    above = Threshold("m", above=0.5, clear=0.3)
    assert found(above, *values(0.6, 0.5, 0.4, 0.3, 0.2)) == [True, None, None, False, False]
    below = Threshold("m", below=0.5, clear=0.7)
    assert found(below, *values(0.4, 0.5, 0.6, 0.7, 0.8)) == [True, None, None, False, False]


def test_a_threshold_may_look_at_an_end_of_the_interval():
    """With `use` an end of the interval is judged; a metric without it says that it has none."""
    metric = Metric("m", 0.75, 0.6, 0.9)
    assert found(Threshold("m", below=0.8, use="upper"), metric) == [False]
    assert found(Threshold("m", below=0.95, use="upper"), metric) == [True]
    assert found(Threshold("m", above=0.7, use="lower"), metric) == [False]
    assert found(Threshold("m", above=0.5, use="lower"), metric) == [True]
    assert found(Threshold("m", above=0.5, use="lower"), Metric("m", None)) == [None]
    with pytest.raises(ConfigurationError, match="m has no lower end"):
        found(Threshold("m", above=0.5, use="lower"), Metric("m", 0.75))


def test_a_threshold_on_nothing_says_so():
    """A name that nothing measures is an error with the nearest one; known names may come late."""
    with pytest.raises(ConfigurationError, match="did you mean 'accuracy'"):
        found(Threshold("acuracy", below=0.7), *values(1.0))
    assert found(Threshold("accuracy", below=0.7), *values(1.0)) == []


def test_a_threshold_says_nothing_of_what_was_not_measured():
    """Another name or other labels give no finding; without a value the alert stays as it is."""
    rule = Threshold("latency_ms", above=100, labels={"quantile": "0.95"})
    other = Metric("latency_ms", 500.0, labels={"quantile": "0.5"})
    none = Metric("latency_ms", None, labels={"quantile": "0.95"})
    own = Metric("latency_ms", 500.0, labels={"quantile": "0.95", "region": "eu"})
    assert found(rule, other, Metric("accuracy", 500.0)) == []
    assert found(rule, none) == [None]
    assert found(rule, own) == [True]


def test_large_figures_are_told_in_full():
    """An alert writes money and counts as the report does, and not as 2.691e+05."""
    rule = Threshold("revenue_at_risk", above=100_000)
    (finding,) = rule([Metric("revenue_at_risk", 269_100.0, 250_000.0, 280_000.0, n=1200)])

    assert finding.title == "revenue_at_risk is 269,100 (revenue_at_risk above 100000)"
    assert "269,100 (95%: 250,000 to 280,000)" in finding.why


def test_a_finding_says_what_is_wrong():
    """Title and reason hold the metric, its value, interval, sample size and limit."""
    metric = Metric("accuracy", 0.7123, 0.69, 0.73, 1234, model="m")
    rule = Threshold("accuracy", below=0.8, severity="critical")
    (finding,) = rule([metric])
    assert finding.title == "accuracy is 0.7123 (accuracy below 0.8)"
    assert "0.69 to 0.73" in finding.why
    assert "1,234 rows" in finding.why
    assert (finding.severity, finding.threshold) == (Severity.CRITICAL, 0.8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Threshold("m"), "above= or below="),
        (lambda: Threshold("m", above=1, below=0), "above= or below="),
        (lambda: Threshold("m", above=1, clear=2), "clear=2"),
        (lambda: Threshold("m", below=1, clear=0), "clear=0"),
        (lambda: Threshold("m", above=1, use="mean"), "use='mean'"),
        (lambda: Threshold("m", above=1, severity="bad"), "severity='bad'"),
        (lambda: Drifted(severity="bad"), "severity='bad'"),
        (lambda: MonitoringFault(severity="bad"), "severity='bad'"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused(make, message):
    """A rule's arguments are checked where it is made, with the remedy."""
    with pytest.raises(ConfigurationError, match=message):
        make()


def drift(verdict, low=0.0, name="drift"):
    labels = {"feature": "x", "detector": "ks"} if name == "drift" else {"detector": "ks"}
    return Metric(name, 0.3, low, None, 100, labels, verdict=verdict)


def test_drift_fires_by_its_verdict():
    """Drifted fires, stable resolves, and no verdict changes nothing."""
    rule = Drifted()
    assert (
        found(rule, drift("drifted", 0.2), drift("drifted", 0.2, "prediction_drift")) == [True] * 2
    )
    assert found(rule, drift("stable", 0.01), drift("stable", 0.05)) == [False, False]
    assert found(rule, drift("stable", 0.3, "concept_drift")) == [False]
    assert found(rule, drift("not enough data"), Metric("drifted_features", 3.0)) == [None]
    (small, none) = rule([drift("stable", 0.01), drift("stable")])
    assert small.why.startswith("at least 0.010 of the traffic differs from the reference (")
    assert none.why.startswith("no difference from the reference is certain (measured ")
    (finding,) = rule([drift("drifted", 0.2)])
    assert finding.title == "x has drifted (ks)"
    (finding,) = rule([drift("drifted", 0.2, "prediction_drift")])
    assert finding.title == "the prediction has drifted (ks)"
    (finding,) = rule([drift("drifted", 0.2, "outcome_drift")])
    assert finding.title == "the outcome has drifted (ks)"
    relation = drift("drifted", 0.2, "concept_drift")
    (finding,) = rule([relation])
    assert finding.title == "the relation of outcomes to predictions has drifted (ks)"
    (finding,) = rule([replace(relation, labels={"detector": "e_detector"})])
    assert finding.title == "the error rate has drifted (e_detector)"


def test_a_monitoring_fault_fires_by_part():
    """Each part that ran is judged, those at fault fire."""
    metrics = [
        Metric("monitoring_fault", value, labels={"part": f"p{value}"}) for value in (1.0, 0.0)
    ]
    assert found(MonitoringFault(), *metrics, Metric("accuracy", 1.0)) == [True, False]


NAMES = st.text(st.characters(exclude_characters="="), max_size=6)


@given(
    one=st.tuples(NAMES, NAMES, NAMES, st.dictionaries(NAMES, NAMES, max_size=2)),
    other=st.tuples(NAMES, NAMES, NAMES, st.dictionaries(NAMES, NAMES, max_size=2)),
)
def test_a_fingerprint_is_of_one_thing_alone(one, other):
    """Metrics of different models, versions, names or labels never share an alert."""

    def fingerprint(model, version, name, labels):
        metric = Metric(name, 1.0, labels=labels, model=model, model_version=version)
        (finding,) = Threshold(name, above=0)([metric])
        return finding.fingerprint

    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)
    assert fingerprint(*one) == fingerprint(*one)
