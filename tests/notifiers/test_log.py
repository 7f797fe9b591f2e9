"""Alerts in the log: one line each, which nothing in an alert can break."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlwatch import Severity
from mlwatch.notifiers import LogNotifier
from mlwatch.testing.checks import sample_alert

HOSTILE = "a\nb\r\x1b[31m\x00\u2028\u202e\ud800 %s {0} \x85end"


def line_of(alert, caplog):
    """Return the one line that a log file would hold of an alert."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="mlwatch.alerts"):
        LogNotifier().notify(alert)
    (record,) = caplog.records
    return record.getMessage()


def test_a_line_says_what_is_wrong(caplog):
    """The line holds state, severity, model, title and reason."""
    alert = replace(
        sample_alert(), model="churn", model_version="2.1", title="x has drifted", why="0.4 moved"
    )
    assert line_of(alert, caplog) == "firing: [warning] churn 2.1: x has drifted: 0.4 moved"
    assert caplog.records[0].name == "mlwatch.alerts"


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (Severity.INFO, logging.INFO),
        (Severity.WARNING, logging.WARNING),
        (Severity.CRITICAL, logging.CRITICAL),
    ],
)
def test_the_level_is_the_severity(severity, level, caplog):
    """A firing alert is logged at the level of its severity, a resolved one as information."""
    line_of(sample_alert(severity, "firing"), caplog)
    assert caplog.records[0].levelno == level
    line_of(sample_alert(severity, "resolved"), caplog)
    assert caplog.records[0].levelno == logging.INFO


@given(text=st.text() | st.just(HOSTILE))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_breaks_out_of_the_line(text, caplog):
    """Newlines, control characters and the like in any field are shown escaped, on one line."""
    alert = replace(sample_alert(), model=text, model_version=text, title=text, why=text)
    line = line_of(alert, caplog)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    line.encode()


def test_another_logger_may_be_given(caplog):
    """The lines go to the logger that was given."""
    with caplog.at_level(logging.INFO, logger="paging"):
        LogNotifier(logging.getLogger("paging")).notify(sample_alert())
    assert [record.name for record in caplog.records] == ["paging"]


def test_it_configures_no_logging():
    """Making a notifier adds no handler and sets no level."""
    logger = logging.getLogger("mlwatch.alerts")
    before = (list(logger.handlers), logger.level, list(logging.root.handlers), logging.root.level)
    LogNotifier()
    after = (list(logger.handlers), logger.level, list(logging.root.handlers), logging.root.level)
    assert after == before
