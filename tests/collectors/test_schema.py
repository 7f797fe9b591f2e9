"""Rules of the user's own: counted at ingest, told with examples, refused when they cannot hold."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collectors.test_quality import VALUES
from tests.traffic import START, predicted, window

from mlwatch import CaptureOptions, DriftPolicy, Monitor, defaults
from mlwatch.alerting import Violated
from mlwatch.collectors import NotMissing, OneOf, Pattern, Range, Schema
from mlwatch.errors import ConfigurationError
from mlwatch.records import Fault, Metric
from mlwatch.reference import Reference
from mlwatch.stores import MemoryStore
from mlwatch.testing import check_collector
from mlwatch.window import no_rows

KEY = "a secret of sixteen bytes or more"


def served(rows, schema, parts=1):
    """Return the window of rows, one a second, counted by a schema."""
    events = [predicted(i, 0.5, features) for i, features in enumerate(rows)]
    return window(events, parts=parts, tallies={schema.name: schema.tally})


def found(rows, schema, parts=1):
    """Return what a schema says of rows: violations and their shares, by feature and rule."""
    items = list(schema.collect(served(rows, schema, parts)))
    told = [it for it in items if isinstance(it, Metric)]
    return {(it.name, it.labels["feature"], it.labels["rule"]): it for it in told}


def one(values, rule):
    """Return the count and the share of one rule, over values of one feature."""
    metrics = list(found([{"x": value} for value in values], Schema({"x": rule})).values())
    assert [it.name for it in metrics] == ["schema_violations", "schema_violation_share"]
    return metrics


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("inclusive", ["both", "neither", "low", "high"])
def test_ranges_are_those_of_pandas(inclusive, parts):
    """`Series.between` on the raw rows counts the same, however panes were split."""
    rng = np.random.default_rng(0)
    values = pd.Series(rng.integers(-20, 140, 500)).astype(float).mask(rng.random(500) < 0.1)
    pandas_name = {"low": "left", "high": "right"}.get(inclusive, inclusive)
    wrong = ~values.dropna().between(0, 120, inclusive=pandas_name)
    schema = Schema({"x": Range(0, 120, inclusive=inclusive)})
    count, share = found([{"x": value} for value in values], schema, parts).values()

    assert count.value == wrong.sum()
    assert share.value == pytest.approx(wrong.mean(), abs=1e-12)
    assert (count.n, share.n) == (len(wrong), len(wrong))
    assert share.low <= share.value <= share.high
    assert share.why == f"{values.isna().sum()} missing values are not asked about"


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            Range(0, 120),
            [0, 120, 1.5, True, Decimal(7)],
            [-1, 120.5, math.inf, "12.5", 2**70, START, b"x", [1]],
        ),
        (Range(low=0), [0, math.inf, 2**70], [-1e-9, -math.inf]),
        (Range(high=0.0), [-math.inf, -(2**70), 0], [1]),
        (
            Range(date(2023, 1, 1), START),
            [START, datetime(2023, 6, 1, tzinfo=UTC), "2023-06-01T00:00:00", "2023-01-01"],
            [START + timedelta(seconds=1), 5, "soon"],
        ),
        (OneOf("a", "b"), ["a", "b"], ["c", "A", "", 1, ["a"], b"a"]),
        (OneOf(1, "x", date(2024, 1, 1)), [1, 1.0, True, "x", "2024-01-01"], ["1", 2, 0]),
        (Pattern(r".+@.+"), ["a@b"], ["a", "@b", "a@b\n", 5, "a@" + "b" * 1000, b"a@b"]),
        (Pattern("[0-9]", fullmatch=False), ["a1b"], ["ab"]),
        (Pattern(re.compile("AB", re.IGNORECASE), longest=2), ["ab"], ["abb"]),
        (NotMissing(), [0, "", False, []], [None, math.nan, pd.NA, pd.NaT, np.datetime64("NaT")]),
        (str.isdigit, ["12"], ["x"]),
        (lambda value: np.bool_(value > 3), [4], [3]),
    ],
    ids=str,
)  # fmt: skip
def test_each_rule_tells_good_from_bad(rule, good, bad):
    """Each value on its own, whatever else came."""
    for value in [*good, *bad]:
        count, share = one([value], rule)
        assert count.value == share.value == float(any(value is it for it in bad)), value


@pytest.mark.parametrize("gone", [None, math.nan, pd.NA, Decimal("nan")])
def test_what_is_missing_breaks_no_other_rule(gone):
    """Without any value there is no share, and it is said why."""
    count, share = one([gone] * 3, [Range(0, 1)])
    assert (count.value, count.n, share.value) == (0, 0, None)
    assert share.why == "not enough data: no values; 3 missing values are not asked about"


def test_several_rules_of_a_feature_are_counted_apart():
    """Each by its name, a function by its own."""

    def is_even(value):
        return value % 2 == 0

    schema = Schema({"x": (NotMissing(), Range(0, 10), is_even)})
    counted = found([{"x": 4}, {"x": 11}, {"x": None}, {}, {"x": 3}], schema)
    values = {rule: it.value for (name, _, rule), it in counted.items() if "share" not in name}

    assert values == {"NotMissing()": 2, "Range(0, 10)": 1, "is_even": 2}


def test_examples_are_up_to_five_and_harmless():
    """Different values among the newest rows, cut and escaped; of missing ones the ids."""
    rows = [{"x": value} for value in ["evil\n\x1b[31m", "y" * 500, 3, 3, *range(100)]]
    count = one([it["x"] for it in rows], OneOf("a"))[0]
    assert count.why == (rf"'evil\n\x1b[31m', '{'y' * 36}..., 3, 0, 1 (of all 104 rows)")
    missing = one([1, None], NotMissing())[0]
    assert missing.why == "missing in request '1' (of all 2 rows)"


def test_examples_come_from_rows_that_are_kept():
    """Where none is kept, or none of these breaks the rule, that is said beside the count."""
    rows = [{"x": -1}] * 60 + [{"x": 1}] * 60
    schema = Schema({"x": Range(0, 1)}, sample=20)
    view = served(rows, schema)
    counts = [next(iter(schema.collect(it))) for it in (view, replace(view, rows=no_rows))]

    assert [it.value for it in counts] == [60, 60]
    assert counts[0].why == "no example (of 20 of the newest rows)"
    assert counts[1].why == "no examples: the rows are not kept, or not to be read"


def test_no_row_is_read_where_no_rule_is_broken():
    """A schema that holds costs no look at the rows."""
    schema = Schema({"x": Range(0, 1)})

    def unread(since, until):
        raise AssertionError("rows were read")

    view = replace(served([{"x": 1}] * 10, schema), rows=unread)
    assert [it.value for it in schema.collect(view)] == [0, 0]


def test_a_function_that_raises_has_said_nothing():
    """It is a fault that names it, and the values it could tell are counted."""

    def is_long(value):
        return len(value) > 1

    schema = Schema({"x": is_long})
    items = list(schema.collect(served([{"x": "ab"}, {"x": "a"}, {"x": 5}], schema)))
    count, share, fault = items

    assert (count.value, count.n) == (1, 2)
    assert share.why == "1 could not be told"
    assert isinstance(fault, Fault)
    assert fault.part == "collector schema"
    assert fault.error == (
        "is_long of 'x' raised for 1 of 3 values, "
        "such as TypeError: object of type 'int' has no len()"
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("xyz"), VALUES), min_size=1, max_size=8))
def test_any_value_is_checked_or_missing(rows):
    """Whatever is sent, the contract holds and each row of a feature is counted once."""
    rules = [Range(0, 1), Range(START, None), OneOf("a", 1), Pattern("a*"), NotMissing()]
    schema = Schema(dict.fromkeys("xyz", rules))
    view = served(rows, schema)
    check_collector(schema, [view])
    tally = view.tally("schema")
    for feature in "xyz":
        for rule in rules:
            key = f"{feature}/{rule.name}/"
            assert tally.get(key + "checked", 0) + tally.get(key + "missing", 0) == len(rows)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Range(5, 1), "no value is in this range"),
        (lambda: Range(5, 5, inclusive="low"), "no value is in this range"),
        (Range, "give low=, high= or both"),
        (lambda: Range(0, math.nan), "give numbers or times"),
        (lambda: Range("a", "b"), "give numbers or times"),
        (lambda: Range(0, START), "two numbers or two times"),
        (lambda: Range(0, 1, inclusive="left"), "inclusive must be"),
        (OneOf, "give the values"),
        (lambda: OneOf(["a", "b"]), re.escape("write OneOf(*values)")),
        (lambda: OneOf("a", None), "missing values break no rule"),
        (lambda: Pattern("("), "no regular expression"),
        (lambda: Pattern(5), "no regular expression"),
        (lambda: Pattern(b"a"), "for bytes"),
        (lambda: Pattern("a", longest=0), "at least 1"),
        (lambda: Schema({}), "must be a mapping"),
        (lambda: Schema([Range(0, 1)]), "must be a mapping"),
        (lambda: Schema({"x": []}), "give a rule"),
        (lambda: Schema({"x": "0-5"}), "give a rule"),
        (lambda: Schema({5: Range(0, 1)}), "names are texts"),
        (lambda: Schema({"x": NotMissing}), re.escape("write NotMissing(...)")),
        (lambda: Schema({"x": [Range(0, 1), 5]}), "no function of a value"),
        (lambda: Schema({"x": [lambda v: v, lambda v: not v]}), "two rules are called"),
        (lambda: Schema({"x": Range(0, 1)}, sample=-1), "number from 0 up"),
        (lambda: Violated(share=1.0), "share from 0"),
        (lambda: Violated(share="much"), "share from 0"),
        (lambda: Violated(severity="loud"), "severity"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(make, words):
    """At once, and the message names the remedy."""
    with pytest.raises(ConfigurationError, match=words):
        make()


def monitored(schema, reference=None, **options):
    """Return a monitor with a schema beside the default collectors."""
    collectors = [*defaults.collectors(), schema]
    return Monitor(reference, store=MemoryStore(), collectors=collectors, **options)


def test_a_rule_for_no_feature_is_refused():
    """A name that is misspelt never becomes a rule that is never asked."""
    reference = Reference.fit({"tenure": [1.0, 2.0] * 50, "plan": ["a", "b"] * 50})
    with pytest.raises(ConfigurationError, match=r"'tenur', which .* there is tenure"):
        monitored(Schema({"tenur": Range(0, 120)}), reference)
    monitored(Schema({"tenur": Range(0, 120)})).close()


@pytest.mark.parametrize(
    ("action", "rule", "holds"),
    [
        ("drop", NotMissing(), False),
        ("hash", Pattern(".+@.+"), False),
        ("hash", OneOf("a"), False),
        ("hash", NotMissing(), True),
        ("mask", Range(0, 1), False),
        ("mask", Pattern("a+@a+"), True),
        (str.lower, Pattern("[a-z@]+"), True),
    ],
)
def test_a_rule_that_redaction_makes_void_is_refused(action, rule, holds):
    """Rules see what is recorded: where that cannot keep them, the monitor is not made."""
    capture = CaptureOptions(redact={"email": action}, redact_key=KEY)
    if holds:
        monitored(Schema({"email": rule}), capture=capture).close()
        return
    with pytest.raises(ConfigurationError, match="would never hold"):
        monitored(Schema({"email": rule}), capture=capture)


def test_examples_are_redacted_as_configured():
    """What nobody may see is in no metric, alert or report."""

    def is_short(value):
        return len(value) < 3

    capture = CaptureOptions(redact={"email": "hash", "name": "mask"}, redact_key=KEY)
    schema = Schema({"email": is_short, "name": is_short})
    with monitored(schema, capture=capture) as monitor:
        monitor.record_prediction({"email": "bob@example.org", "name": "Robert7"}, 0.5)
        report = monitor.run_cycle()
    told = {it.labels["feature"]: it.why for it in report.metrics if it.name == "schema_violations"}

    assert told["name"] == "'Aaaaaa9' (of all 1 rows)"
    assert re.fullmatch(r"'[0-9a-f]{32}' \(of all 1 rows\)", told["email"])
    assert len(report.alerts) == 2
    assert not re.search("bob|Robert7", repr(report) + str(report))


def test_a_broken_rule_alerts_once_and_resolves():
    """A violation is told with its examples, and is over when the window holds none."""
    from mlwatch.testing import ManualClock, RecordingNotifier

    clock, notifier = ManualClock(), RecordingNotifier()
    options = {"clock": clock, "notifiers": [notifier], "window": timedelta(hours=1)}
    with monitored(Schema({"x": Range(0, 9)}), **options) as monitor:
        for value in (1, -5, 2):
            monitor.record_prediction({"x": value}, 0.5)
        report = monitor.run_cycle()
        monitor.run_cycle()
        clock.advance(timedelta(hours=2))
        monitor.run_cycle()  # without traffic nothing is known
        monitor.record_prediction({"x": 1}, 0.5)
        monitor.run_cycle()
    told = [(it.state, it.title, it.why) for it in notifier.alerts if it.rule == "schema"]

    assert told == [
        ("firing", "x breaks Range(0, 9)", "1 of 3 values: -5 (of all 3 rows)"),
        ("resolved", "x no longer breaks Range(0, 9)", "0 of 1 values"),
    ]
    assert "schema_violations [feature=x, rule=Range(0, 9)]" in str(report)


@pytest.mark.parametrize(("broken", "firing"), [(0, False), (12, False), (60, True)])
def test_a_share_may_be_borne(broken, firing):
    """With a share given, the lower end of the interval has to be above it."""
    values = [-1] * broken + [1] * (1000 - broken)
    (finding,) = Violated(share=0.01)(one(values, Range(0, 1)))
    assert finding.firing is firing


def test_a_policy_is_not_lost_on_the_way():
    """A `drift=` that the given DriftCollector would not follow is refused."""
    policy = DriftPolicy(margin=0.2)
    with pytest.raises(ConfigurationError, match="policy"):
        Monitor(store=MemoryStore(), drift=policy, collectors=defaults.collectors())
    chosen = defaults.collectors(policy=policy)
    Monitor(store=MemoryStore(), drift=policy, collectors=chosen).close()
