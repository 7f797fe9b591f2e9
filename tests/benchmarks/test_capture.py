"""The figures of `benchmarks/capture.py`; what they are on this machine is not asked."""

import re
from pathlib import Path

import pytest

import capture
from cost.call import require
from cost.figure import GOALS, Goal, Measured, markdown, table

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_every_goal_is_measured_once():
    """No goal is without its measurement, and no measurement without a goal."""
    names = [name for figures in capture.MEASURES.values() for name in figures]
    assert sorted(names) == sorted(GOALS)


def test_the_page_shows_and_explains_every_figure():
    """docs/performance.md has the line that was printed for each goal, and a word on it."""
    _, figures, words = re.split(r"<!-- /?figures -->", PAGE.read_text())
    shown = [line.split(" | ") for line in figures.splitlines() if line.startswith("| ")]
    assert [(name.removeprefix("| "), goal) for name, _, goal, *_ in shown[1:]] == [
        (name, str(goal)) for name, goal in GOALS.items()
    ]
    assert [name for name in GOALS if f"**{name}**" not in words] == []


def test_what_is_asked_for_is_measured_and_nothing_else(capsys):
    """One cheap figure of a quick run, with its goal and what was compared."""
    capture.main(["--quick", "--only", "caller CPU"])
    printed = capsys.readouterr().out
    assert [name for name in GOALS if name in printed] == ["caller CPU / deque.append"]
    assert re.search(r"\d / \d+(\.\d+)? ns$", printed, re.MULTILINE)
    assert re.search(r"^[01] of 1 goals hold\.$", printed, re.MULTILINE)


def test_a_figure_that_does_not_exist_is_refused(capsys):
    """The complaint names those that do."""
    with pytest.raises(SystemExit):
        capture.main(["--only", "nonsense"])
    assert "p50 / logging.info" in capsys.readouterr().err


def test_a_goal_says_when_it_is_missed():
    """At its limit a goal holds, beyond it does not, whichever way it points."""
    assert Goal(0.2).met(0.2)
    assert not Goal(0.2).met(0.21)
    assert Goal(20, least=True).met(20)
    assert not Goal(20, least=True).met(19.9)
    found = {"p50 / logging.info": Measured(0.3, "3 / 10 us")}
    assert "MISSED  3 / 10 us" in table(found)
    assert "| p50 / logging.info | 0.3 | <= 0.2 | MISSED | 3 / 10 us |" in markdown(found)


def test_lost_records_give_no_figure():
    """A ratio for records that were not kept would flatter."""
    with pytest.raises(SystemExit, match="no fair comparison: 9 records where"):
        require(9, 10)
