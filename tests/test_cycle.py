"""A cycle finishes whatever its parts do, and says which of them failed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.service import DAY, MINUTE, MODEL, START, STORES, VERSION, make_store, reference, rows

from mlwatch import (
    CaptureOptions,
    DriftResult,
    Memory,
    Metric,
    Monitor,
    NotificationError,
    Retention,
    Revised,
    Severity,
    Table,
    Threshold,
)
from mlwatch.alerting import Finding
from mlwatch.collectors import DriftCollector, TrafficCollector
from mlwatch.detectors import ChiSquareDetector, KSDetector
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, RecordingNotifier, ScriptedCollector, ScriptedDetector

TRAFFIC = TrafficCollector()
RATE = Threshold("prediction_count", above=10)
OF_THE_MODEL = ("monitor_", "volume_ratio", "seconds_since_prediction")


class Bench:
    """A monitor whose parts are chosen by the test, cycle by cycle."""

    def __init__(self, store=None, **options):
        self.clock = ManualClock(START)
        self.told = RecordingNotifier()
        options.setdefault("notifiers", [self.told])
        self.store = store or MemoryStore()
        self.monitor = Monitor(
            options.pop("given", reference()),
            store=self.store,
            model=MODEL,
            model_version=VERSION,
            clock=self.clock,
            **options,
        )
        data, scores, _ = rows(200)
        self.monitor.record_batch(data, scores)

    def cycle(self):
        """Run a cycle, ten minutes after the one before."""
        self.clock.advance(10 * MINUTE)
        return self.monitor.run_cycle()

    @property
    def titles(self):
        return [(alert.state, alert.title) for alert in self.told.alerts]


class Fragile:
    """A part that raises while it is told to."""

    def __init__(self, inner, name="fragile"):
        self.inner = inner
        self.name = name
        self.error = RuntimeError("out of order")

    def _run(self, *given):
        if self.error is not None:
            raise self.error
        return self.inner(*given)

    collect = detect = notify = __call__ = _run


def fragile(part, inner):
    """Return a bench with one fragile part, and that part."""
    broken = Fragile(inner)
    told = RecordingNotifier()
    options = {
        "collector": {"collectors": [broken, TRAFFIC]},
        "detector": {"detectors": [broken, KSDetector(), ChiSquareDetector()]},
        "rule": {"rules": [broken, RATE]},
        "notifier": {"notifiers": [broken, told], "rules": [RATE]},
    }[part]
    bench = Bench(**{"notifiers": [told]} | options)
    bench.told = told
    return bench, broken


PARTS = {
    "collector": lambda window: [Metric("own", 1.0)],
    "detector": lambda reference, current: None,
    "rule": lambda metrics: [],
    "notifier": lambda alert: None,
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_raises_ends_no_cycle(part):
    """The fault is in the report, in a metric and in an alert; it resolves when the part works."""
    bench, broken = fragile(part, PARTS[part])
    report = bench.cycle()
    fault = report.faults[-1]
    assert {each.part for each in report.faults} == {fault.part}
    assert fault.part.startswith(f"{part} fragile")
    assert "RuntimeError: out of order" in fault.error
    (metric,) = report.find("monitoring_fault", part=fault.part)
    assert (metric.value, metric.why) == (1.0, fault.error)
    titles = [title for state, title in bench.titles if state == "firing"]
    assert f"monitoring fault in {fault.part}" in titles
    assert f"monitoring fault in {fault.part}: " in str(report)
    assert report["prediction_count"].value == 200

    bench.cycle()
    assert bench.titles.count(("firing", f"monitoring fault in {fault.part}")) == 1
    assert not any(state == "resolved" for state, _ in bench.titles)

    broken.error = None
    report = bench.cycle()
    assert report.faults == ()
    assert report.find("monitoring_fault", part=fault.part)[0].value == 0.0
    assert bench.titles.count(("resolved", f"monitoring fault in {fault.part}")) == 1


@pytest.mark.parametrize("part", ["collector", "detector", "rule"])
def test_the_other_parts_measure_the_same(part):
    """Beside a part that raises, all others give what they give without it."""
    bench, _ = fragile(part, PARTS[part])
    whole = {
        "collector": Bench(collectors=[TRAFFIC]),
        "detector": Bench(detectors=[KSDetector(), ChiSquareDetector()]),
        "rule": Bench(rules=[RATE]),
    }[part]
    reports = [it.cycle() for it in (bench, whole)]

    def measured(report):
        of_traffic = [metric for metric in report.metrics if metric.model_version == VERSION]
        return [metric for metric in of_traffic if metric.name != "monitoring_fault"]

    assert measured(reports[0]) == measured(reports[1])
    assert reports[0].drift == reports[1].drift


def test_a_fault_is_never_a_measurement():
    """Of a collector that raises only what it measured before is there, in report and store."""

    def half(window):
        yield Metric("measured", 3.0)
        raise RuntimeError("out of order")
        yield Metric("own", 0.0)

    bench = Bench(collectors=[half, TRAFFIC])
    report = bench.cycle()
    assert report["measured"].value == 3.0
    assert report.find("own") == ()
    with pytest.raises(KeyError, match="own"):
        report["own"]
    names = {row.name for row in bench.store.read(Table.metrics)}
    assert "measured" in names
    assert "own" not in names
    assert "own" not in report.to_row()


def test_a_fault_in_one_window_is_told_once():
    """A part that fails for two versions in one cycle is one fault metric and one alert."""
    bench = Bench(collectors=[Fragile(None), TRAFFIC])
    bench.monitor.record_batch({"x": [1.0]}, [0.5], model_version="3")
    report = bench.cycle()
    assert len(report.faults) == 2
    assert len(report.find("monitoring_fault", part="collector fragile")) == 1
    assert bench.titles == [("firing", "monitoring fault in collector fragile")]


class Misnamed:
    """A detector whose results bear another name than its own."""

    name = "inner"
    error = RuntimeError("out of order")

    def detect(self, reference, current):
        if self.error is not None:
            raise self.error
        return ScriptedDetector(name="outer").detect(reference, current)


def test_a_detector_is_known_by_its_own_name():
    """A detector's fault resolves when it works, whatever name its results bear."""
    detector = Misnamed()
    bench = Bench(collectors=[DriftCollector([detector])])
    assert {fault.part for fault in bench.cycle().faults} == {"detector inner"}
    detector.error = None
    bench.cycle()
    assert [state for state, _ in bench.titles] == ["firing", "resolved"]


def test_without_a_reference_no_detector_is_said_to_work():
    """A detector that did not run is neither at fault nor well."""
    report = Bench(given=None).cycle()
    parts = {metric.labels["part"] for metric in report.find("monitoring_fault")}
    assert not any(part.startswith("detector") for part in parts)
    assert "collector drift" in parts


class Tallying:
    """A collector with a tally that raises while it is told to."""

    name = "sizes"
    broken = False
    detectors = None

    def tally(self, rows):
        if self.broken:
            raise RuntimeError("out of order")
        return {"all": len(rows), "big": sum(row.features["x"] > 1 for row in rows)}

    def collect(self, window):
        counts = window.tally("sizes")
        return [Metric("big", float(counts.get("big", 0)), n=counts.get("all", 0))]


def test_a_collector_tallies_at_ingest():
    """What a collector's `tally` counts at ingest, its `collect` finds in the window."""
    bench = Bench(collectors=[Tallying(), TRAFFIC])
    metric = bench.cycle()["big"]
    assert (metric.value, metric.n) == (float((rows(200)[0]["x"] > 1).sum()), 200)


def test_a_tally_that_raises_is_told_until_it_works():
    """A `tally` that raises is a fault and an alert; without traffic it is neither ill nor well."""
    collector = Tallying()
    collector.broken = True
    bench = Bench(collectors=[collector, TRAFFIC])
    report = bench.cycle()
    assert report["prediction_count"].value == 200
    assert [fault.part for fault in report.faults] == ["tally sizes"]
    assert bench.monitor.status().noted == {"tally_failed": 200}
    collector.broken = False
    assert bench.cycle().find("monitoring_fault", part="tally sizes") == ()
    bench.monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5)
    assert bench.cycle().faults == ()
    title = "monitoring fault in tally sizes"
    assert bench.titles == [("firing", title), ("resolved", title)]


WRONG = {
    "no metric": lambda window: [5],
    "nothing": lambda window: None,
    "a text value": lambda window: [Metric("own", "high")],
    "no labels": lambda window: [Metric("own", 1.0, labels=None)],
    "half a row": lambda window: [Metric("own", 1.0, n=None)],
}


@pytest.mark.parametrize("collector", WRONG.values(), ids=WRONG)
def test_a_collector_that_gives_no_metrics_is_at_fault(collector):
    """What is no metric, or a metric that no store can keep, is a fault and not a lost cycle."""
    report = Bench(collectors=[collector, TRAFFIC]).cycle()
    assert [fault.part for fault in report.faults] == ["collector <lambda>"]
    assert report["prediction_count"].value == 200


class OfTheMachine:
    """Measures, and then gives what no cycle keeps of the machine."""

    name, scope = "machine room", "machine"

    def __init__(self, more):
        self.more = more

    def collect(self, window):
        yield Metric("degrees", 21.0)
        yield self.more


@pytest.mark.parametrize(
    "more",
    [
        Memory({"seen": 1}),
        Revised((Metric("degrees", 20.0, since=START - DAY, time=START),)),
        DriftResult("door", "eye", None, None, None, None, 0, 0),
    ],
    ids=["Memory", "Revised", "DriftResult"],
)
def test_what_a_collector_of_the_machine_gives_in_vain_is_a_fault(more):
    """Nothing that it gives is lost in silence: all but metrics and faults is a fault."""
    report = Bench(collectors=[OfTheMachine(more)]).cycle()
    assert report["degrees"].value == 21.0
    (fault,) = report.faults
    assert fault.part == "collector machine room"
    assert type(more).__name__ in fault.error


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (5, "collected int; give Metric"),
        (None, "collected NoneType; give Metric"),
        ([Metric(5, 1.0)], "a metric named 5; give a text"),
        ([Metric("", 1.0)], "a metric named ''; give a text"),
    ],
)
def test_what_a_function_collects_wrongly_costs_itself_alone(given, told):
    """It is a fault that says what to give, and nothing else of the cycle or its report is lost."""

    def mine(window):
        return given

    with Monitor(store=MemoryStore(), collectors=[mine], notifiers=[]) as monitor:
        report = monitor.run_cycle()

    (fault,) = report.faults
    assert fault.part == "collector mine"
    assert told in fault.error
    assert told in str(report)


def test_a_function_may_return_one_metric():
    """One metric is taken as a list of one."""

    def mine(window):
        return Metric("mine", 1.0)

    with Monitor(store=MemoryStore(), collectors=[mine], notifiers=[]) as monitor:
        assert monitor.run_cycle()["mine"].value == 1


@pytest.mark.parametrize("kind", STORES)
def test_a_collector_may_use_numpy(kind, tmp_path):
    """Metrics in numpy's numbers, with labels that are no texts, are kept and can alert."""
    metric = Metric(
        "own", np.float64(0.3), np.float32(0.25), np.float64(0.5), np.int64(4), {"k": np.int64(5)}
    )
    bench = Bench(
        make_store(kind, tmp_path),
        collectors=[ScriptedCollector([[metric]])],
        rules=[Threshold("own", above=np.float64(0.1), labels={"k": "5"})],
    )
    bench.cycle()
    report = bench.cycle()
    assert (report["own"].value, report["own"].n, report["own"].labels) == (0.3, 4, {"k": "5"})
    assert bench.titles == [("firing", "own (k 5) is 0.3 (own above 0.1)")]


def test_nan_is_no_figure():
    """A collector's NaN is a metric without a value that says why, and resolves no alert."""
    script = [[Metric("own", 1.0)], [Metric("own", math.nan)], [Metric("own", np.float64("nan"))]]
    bench = Bench(collectors=[ScriptedCollector(script)], rules=[Threshold("own", above=0.5)])
    bench.cycle()
    for _ in range(2):
        metric = bench.cycle()["own"]
        assert metric.value is None
        assert "NaN" in metric.why
    assert [state for state, _ in bench.titles] == ["firing"]


def test_a_rule_that_gives_no_findings_is_at_fault():
    """What is no finding, or has no known severity, is the rule's fault; the state stays whole."""
    metric = Metric("own", 1.0)

    def careless(metrics):
        return [Finding("careless", "dreadful", True, "t", "w", metric)]

    bench = Bench(rules=[careless, lambda metrics: [5], RATE])
    for _ in range(2):
        report = bench.cycle()
        assert [fault.part for fault in report.faults] == ["rule careless 1", "rule <lambda> 2"]
    assert ("firing", "prediction_count is 200 (prediction_count above 10)") in bench.titles
    assert bench.titles.count(("firing", "monitoring fault in rule careless 1")) == 1


def test_a_rule_sees_each_cycle_once():
    """A rule of the user's is called once a cycle, with all of its metrics."""
    calls = []

    def silence(metrics):
        calls.append([metric.name for metric in metrics])
        found = [metric for metric in metrics if metric.name == "prediction_count"]
        anything = Metric("traffic", None)
        yield Finding("silence", Severity.WARNING, not found, "no traffic", "none", anything)

    bench = Bench(rules=[silence])
    bench.cycle()
    bench.cycle()
    assert len(calls) == 2
    assert bench.titles == []


def test_a_new_alert_about_a_notifier_tries_no_delivery_twice():
    """In one cycle each delivery is tried once, also when a fault is told at its end."""
    tried = []

    def busy(alert):
        tried.append(alert.title)
        raise NotificationError("busy")

    told = RecordingNotifier()
    bench = Bench(rules=[RATE], notifiers=[busy, told])
    bench.cycle()
    assert len(tried) == len(set(tried)) == 2
    bench.cycle()
    assert len(tried) == 4


@pytest.mark.parametrize("kind", STORES)
def test_a_window_judged_twice_gives_one_result(kind, tmp_path):
    """A second cycle in the same minute replaces the first's results, key by key."""
    bench = Bench(make_store(kind, tmp_path))
    first = bench.cycle()
    data, scores, _ = rows(200, seed=8, shift=2.0)
    bench.monitor.record_batch(data, scores)
    second = bench.monitor.run_cycle()
    for table, found in ((Table.metrics, second.metrics), (Table.drift, second.drift)):
        kept = {row.key: row for row in bench.store.read(table)}
        assert kept == {item.key: item for item in found}
    assert {metric.key for metric in first.metrics} <= {metric.key for metric in second.metrics}
    assert second["prediction_count"].value == 400


def test_results_bear_the_window_they_are_about():
    """Each metric and drift result names its model, version and window.

    Those of the monitor itself, of what comes in, of the machine and of services are about no
    version.
    """
    report = Bench().cycle()
    week = (report.time - 7 * DAY).replace(hour=0, minute=0)
    apart = ("monitor_", "cpu_", "load_", "memory_", "disk_", "network_", "open_", "process_")
    for item in (*report.metrics, *report.drift):
        own = isinstance(item, Metric) and item.name.startswith((*apart, *OF_THE_MODEL, "service_"))
        assert (item.model, item.model_version) == (MODEL, "" if own else VERSION)
        lacks_rows = isinstance(item, DriftResult) and item.drifted is None
        assert item.since == (week if lacks_rows else report.since)
        assert item.time == report.time
    assert report.since == START - DAY  # 24 hours before 12:11, and on to a full hour


@pytest.mark.parametrize("kind", STORES)
def test_old_panes_are_rolled_up_by_the_cycle(kind, tmp_path):
    """Days later a model's traffic is in panes of a day, and a window says where it begins."""
    bench = Bench(make_store(kind, tmp_path))
    for _ in range(3):
        bench.cycle()
        bench.clock.advance(3 * 60 * MINUTE)
    at = START + 4 * DAY
    bench.clock.advance(at - bench.clock())
    bench.monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5, timestamp=START + DAY)
    report = bench.monitor.run_cycle()
    panes = bench.store.read(Table.panes)
    counted = [it for it in panes if it.source == "recorder" and "rows" in it.tallies]
    spans = [(pane.time, pane.span) for pane in counted]
    midnight = START - START.hour * 60 * MINUTE
    assert spans == [(midnight, DAY), (midnight + DAY, DAY)]
    assert report.since == at - DAY
    for since, until, n in ((START, START + MINUTE, 200), (START + DAY, at, 1), (START, at, 201)):
        window = bench.monitor.window(since, until)
        assert window.tally("rows")["recorded"] == n
        assert window.since == since - since.hour * 60 * MINUTE
    assert window.last(MINUTE).tallies == {}
    assert window.last(30 * DAY).tally("rows")["recorded"] == 201
    bench.monitor.close()


def test_a_day_is_kept_until_all_of_it_is_too_old():
    """What is younger than the retention is never removed with the day whose pane it is in."""
    keep = CaptureOptions(retention=Retention(panes=5 * DAY))
    bench = Bench(capture=keep)
    bench.cycle()
    for hours in (100, 119, 131, 133):
        bench.clock.advance(START + hours * 60 * MINUTE - bench.clock())
        bench.monitor.run_cycle()
        left = bench.monitor.window(START - DAY, START + DAY).tally("rows").get("recorded", 0)
        assert left == (200 if hours < 132 else 0), hours


# The report

METRICS = [
    Metric("accuracy", 0.81234, 0.79, 0.83, 1200),
    Metric("roc_auc", None, n=3, why="not enough data: 3 of 30"),
    Metric("latency_ms", 12.5, 12.0, 13.0, 1200, {"quantile": "0.95"}),
]


def test_the_report_can_be_read_at_a_glance():
    """`print(report)` shows verdict, metrics, drift, alerts and faults as one table each."""
    rules = [Threshold("accuracy", below=0.9, severity="critical")]
    collectors = [ScriptedCollector([METRICS]), DriftCollector([ScriptedDetector({"x": True})])]
    bench = Bench(collectors=[*collectors, Fragile(None, "bad\nname")], rules=rules)
    report = bench.cycle()
    lines = str(report).splitlines()
    assert lines[0] == f"{MODEL} {VERSION}  2023-12-31 12:00 to 2024-01-01 12:11 UTC"
    assert lines[1] == (
        "1 of 2 features has drifted: x (at least 100% of the traffic); monitoring faults: 1"
    )
    (accuracy,) = [line for line in lines if line.startswith("accuracy")]
    assert accuracy.split() == ["accuracy", "0.8123", "0.79", "to", "0.83", "1,200"]
    assert any(line.endswith("not enough data: 3 of 30") for line in lines)
    assert any(line.startswith("latency_ms [quantile=0.95]") for line in lines)
    assert any("x  " in line and "drifted" in line for line in lines)
    assert any(line.startswith("firing: [critical] accuracy is 0.8123") for line in lines)
    assert r"monitoring fault in collector bad\nname: RuntimeError: out of order" in lines


def test_the_report_shows_the_reference_beside_each_figure():
    """A column shows figures on the reference; what is worse says so on the figure's own row."""
    metrics = [
        Metric("accuracy", 0.8, 0.79, 0.83, 1200, reference=0.8512, why="one thing"),
        Metric("class_recall", 0.7, 0.6, 0.8, 300, {"class": "a/b"}, reference=0.9),
        Metric("log_loss", 0.4, 0.3, 0.5, 1200, reference=0.39),
        Metric("prediction_count", 1200.0, n=1200),
        *(
            Metric("performance_change", -0.1, -0.2, -0.05, 9, {"metric": name}, verdict, "worse")
            for name, verdict in [
                ("accuracy", "drifted"),
                ("class_recall/a%2Fb", "drifted"),
                ("log_loss", "stable"),
            ]
        ),
        *(Metric("confusion", 5.0, labels={"predicted": p, "actual": "x"}) for p in "0123456789"),
    ]
    lines = str(Bench(collectors=[ScriptedCollector([metrics])]).cycle()).splitlines()
    rows = [line.split() for line in lines]
    start = next(place for place, row in enumerate(rows) if row[:1] == ["metric"])

    assert rows[start] == ["metric", "value", "95%", "interval", "reference", "n"]
    assert rows[start + 1] == [
        "accuracy",
        "0.8",
        "0.79",
        "to",
        "0.83",
        "0.8512",
        "1,200",
        "one",
        "thing;",
        "worse",
    ]
    assert rows[start + 2] == [
        "class_recall",
        "[class=a/b]",
        "0.7",
        "0.6",
        "to",
        "0.8",
        "0.9",
        "300",
        "worse",
    ]
    assert rows[start + 3] == ["log_loss", "0.4", "0.3", "to", "0.5", "0.39", "1,200"]
    assert rows[start + 4] == ["prediction_count", "1,200", "1,200"]
    assert not [line for line in lines if line.startswith(("performance_change", "confusion"))]


def test_the_report_is_also_a_frame_and_a_row():
    """`to_frame()` is one row a metric and `to_row()` one flat row a cycle."""
    report = Bench(collectors=[ScriptedCollector([METRICS])]).cycle()
    frame = report.to_frame()
    assert list(frame["name"][:3]) == ["accuracy", "roc_auc", "latency_ms"]
    assert len(frame) == len(report.metrics)
    row = report.to_row()
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == (0.81234, 0.79, 0.83)
    assert row["roc_auc"] is None
    assert row["latency_ms[quantile=0.95]"] == 12.5
    assert (row["model"], row["model_version"], row["time"]) == (MODEL, VERSION, report.time)
    assert (row["alerts"], row["faults"]) == (0, 0)


def test_a_metric_that_is_not_there_says_what_is():
    """An unknown name is a KeyError with the nearest names; labels find one of several."""
    report = Bench(collectors=[ScriptedCollector([METRICS])]).cycle()
    with pytest.raises(KeyError, match="accuracy"):
        report["acuracy"]
    assert report.find("latency_ms", quantile="0.5") == ()
    assert report.find("latency_ms", quantile="0.95")[0].value == 12.5


def test_a_drift_result_of_a_collector_is_kept():
    """A collector of the user's may give drift results too; they are stamped and stored."""
    result = DriftResult("text", "own", 1.0, 0.5, 0.4, None, 10, 10, drifted=True)
    bench = Bench(collectors=[lambda window: [result]])
    report = bench.cycle()
    (kept,) = bench.store.read(Table.drift)
    assert kept == report.drift[0]
    assert kept.model == MODEL


def test_the_panes_are_summed_once_for_all_collectors():
    """What one collector has asked for is handed to the next, and is still the window's sum."""
    seen = []

    def first(window):
        seen.append((window.tallies, window.profile))
        yield Metric("first", 1.0)

    def second(window):
        seen.append((window.tallies, window.profile))
        yield Metric("second", 1.0)

    with Monitor(
        reference(), store=MemoryStore(), collectors=[first, second], clock=ManualClock(START)
    ) as monitor:
        monitor.record_batch(*rows(20)[:2])
        assert monitor.run_cycle().faults == ()
    (tallies, profile), (same, too) = seen
    assert tallies is same
    assert profile is too
    assert tallies["rows"]["recorded"] == 20
