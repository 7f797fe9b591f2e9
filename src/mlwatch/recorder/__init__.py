"""The hot path: records are encoded where they are made and written where nobody waits."""

from mlwatch.recorder.disabled import NoRecorder, is_disabled
from mlwatch.recorder.lifetime import EXIT_SECONDS
from mlwatch.recorder.recorder import Recorder
from mlwatch.recorder.statistics import MISSED, MISSED_REQUESTS, CaptureStatistics

AnyRecorder = Recorder | NoRecorder

__all__ = [
    "EXIT_SECONDS",
    "MISSED",
    "MISSED_REQUESTS",
    "AnyRecorder",
    "CaptureStatistics",
    "NoRecorder",
    "Recorder",
    "is_disabled",
]
