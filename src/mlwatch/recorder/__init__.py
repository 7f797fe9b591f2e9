"""The hot path: records are encoded where they are made and written where nobody waits."""

from mlwatch.recorder.recorder import Recorder
from mlwatch.recorder.statistics import CaptureStatistics

__all__ = ["CaptureStatistics", "Recorder"]
