"""Ingest: the spool into rows and panes of the store, exactly once."""

from mlwatch.ingest.join import FindReference, Tally
from mlwatch.ingest.loop import Ingest

__all__ = ["FindReference", "Ingest", "Tally"]
