"""Ingest: the spool into rows and panes of the store, exactly once."""

from mlwatch.ingest.counting import Tally
from mlwatch.ingest.loop import Ingest

__all__ = ["Ingest", "Tally"]
