"""The section of the report that shows the segments: the worst, by what is certain."""

from __future__ import annotations

from datetime import UTC, datetime

from mlwatch.records import CycleReport, Metric

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def of_segment(name, low, share=0.1, why="", version="1"):
    """Return what a collector says of a segment."""
    labels = {"segment": name}
    value = None if low is None else low + 0.02
    about = {"labels": labels, "model_version": version}
    return [
        Metric("segment_error_excess", value, low, None, 50, why=why, **about),
        Metric("segment_share", share, n=500, **about),
        Metric("segment_accuracy", 0.75, n=50, **about),
        Metric("segment_latency_ms", 5.0, n=50, **about),
    ]


def shown(*metrics):
    report = CycleReport(
        model="m", model_version="1", since=NOON, time=NOON, metrics=tuple(metrics)
    )
    return str(report).splitlines()


def test_the_worst_are_shown_by_what_is_certain():
    """One row a segment, the largest lower bound first, at most five; the rest is counted."""
    metrics = [it for i in range(8) for it in of_segment(f"s={i}", i / 100 - 0.05)]
    lines = shown(
        Metric("segments_worse", 2.0, n=400, why="worst first: s=7", model_version="1"), *metrics
    )
    start = next(i for i, line in enumerate(lines) if line.startswith("segment  "))

    heads = " ".join(lines[start].split())
    worst = " ".join(lines[start + 1].split())
    assert heads == "segment share labelled figure errs more by at least"
    assert worst == "s=7 0.100 50 accuracy 0.75 0.04 0.02"
    assert [line.split()[0] for line in lines[start + 1 : start + 6]] == [
        f"s={i}" for i in range(7, 2, -1)
    ]
    assert lines[start + 6] == "(3 more segments are not shown)"
    assert any(line.startswith("segments_worse  2") for line in lines)
    assert not any("segment_latency_ms" in line for line in lines)


def test_those_that_cannot_be_compared_come_last_the_largest_first():
    """They say why; another version's are marked, and no name breaks out of its line."""
    metrics = [
        *of_segment("small", None, 0.1, why="not enough data: 3 of 30"),
        *of_segment("large\n", None, 0.4),
        *of_segment("good", -0.5, version="2"),
    ]
    lines = shown(*metrics)
    start = next(i for i, line in enumerate(lines) if line.startswith("segment  "))

    assert lines[start + 1].startswith("good [model_version=2]  0.100")
    assert lines[start + 2].startswith("large\\n ")
    assert lines[start + 3].startswith("small ")
    assert lines[start + 3].endswith("not enough data: 3 of 30")


def test_without_segments_there_is_no_section():
    """The report of a monitor without segments is as it was."""
    assert not any("segment" in line for line in shown(Metric("accuracy", 0.5, n=50)))
