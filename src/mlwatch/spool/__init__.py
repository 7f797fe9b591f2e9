"""Where records wait, in frames that survive a kill, until they are in the store."""

from mlwatch.spool.disk import DiskSpool
from mlwatch.spool.frame import Frame, SegmentId
from mlwatch.spool.memory import MemorySpool
from mlwatch.spool.protocol import Spool

__all__ = ["DiskSpool", "Frame", "MemorySpool", "SegmentId", "Spool"]
