"""Ingest: the spool into rows and panes of the store, exactly once."""

from mlwatch.ingest.join import SPAN, FindReference, Tally, pane_start
from mlwatch.ingest.loop import Ingest

__all__ = ["SPAN", "FindReference", "Ingest", "Tally", "pane_start"]
