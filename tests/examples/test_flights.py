"""The demo, killed and started again."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mlwatch.records import Table
from mlwatch.stores import SQLiteStore

SCRIPT = Path(__file__).parents[2] / "examples" / "flights.py"
DAYS = 12

pytestmark = pytest.mark.slow


def start(database: Path) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), "--database", str(database), "--days", str(DAYS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def cycles(database: Path) -> int:
    """Return how many cycles the database holds so far."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(DISTINCT time) FROM metrics").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def content(database: Path) -> dict[str, object]:
    """Return what may not depend on how often the run was interrupted."""
    totals: Counter = Counter()
    for pane in SQLiteStore(database, read_only=True).read(Table.panes):
        for name, tally in pane.tallies.items():
            totals.update({(pane.source, name, cell): count for cell, count in tally.items()})
    with closing(sqlite3.connect(database)) as connection:
        ask = connection.execute
        return {
            "panes": totals,
            "pending": ask(
                "SELECT request_id, time, score, label, outcome FROM pending ORDER BY request_id"
            ).fetchall(),
            "predictions": ask(
                "SELECT request_id, time, features, prediction FROM predictions ORDER BY request_id"
            ).fetchall(),
            "outcomes": ask(
                "SELECT request_id, time, outcome, joined FROM outcomes ORDER BY request_id"
            ).fetchall(),
            "metrics": ask(
                "SELECT key, value, low, high, n FROM metrics WHERE name != 'monitoring_fault' "
                "AND model_version != '' ORDER BY key"  # others are of the process and its machine
            ).fetchall(),
            "alerts": ask("SELECT key, state, title FROM alerts ORDER BY key").fetchall(),
        }


def test_killed_and_started_again_nothing_is_lost_and_nothing_is_twice(tmp_path):
    """After three SIGKILLs the database holds, to the integer, what an undisturbed run leaves."""
    calm, hard = tmp_path / "calm.db", tmp_path / "hard.db"
    finish(start(calm))

    for wanted in (2, 5, 8):
        process = start(hard)
        deadline = time.monotonic() + 120
        while cycles(hard) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"not killed, but ended: {output}"
    assert cycles(hard) < DAYS
    finish(start(hard))

    expected, found = content(calm), content(hard)
    assert len(expected["pending"]) > 800
    for part, rows in expected.items():
        assert found[part] == rows, part
    with closing(sqlite3.connect(hard)) as connection:
        recorded, stored, dropped = 0, 0, Counter()
        for row in connection.execute("SELECT recorded, stored, dropped FROM progress"):
            recorded, stored = recorded + row[0], stored + row[1]
            dropped.update(msgspec.json.decode(row[2]))
    assert recorded == stored + sum(dropped.values())
    assert set(dropped) <= {"duplicate"}


def test_the_readme_shows_what_the_demo_prints(tmp_path):
    """The README's excerpt is the demo's output of today, line for line."""
    database = tmp_path / "flights.db"
    printed = subprocess.run(
        [sys.executable, str(SCRIPT), "--database", str(database)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    ).stdout.replace(str(database), "build/demo/flights.db")

    readme = (SCRIPT.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"```text\n{printed}```" in readme
