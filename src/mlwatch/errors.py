"""Every error mlwatch raises, as a tree.

MLWatchError
├── ConfigurationError   (ValueError)  an argument that cannot be right
├── DataError            (ValueError)  data that cannot be used: a missing column, unequal lengths
├── GridMismatchError    (ValueError)  counts made on different grids, which must not be added
├── ReferenceFileError   (ValueError)  a reference file that is unreadable, foreign or newer
├── SpoolError                         a spool that cannot be written or read
├── StoreError                         a store that cannot be opened, read or written
│   └── ConflictError                  someone else wrote first
└── NotificationError                  a notifier did not deliver
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "ConflictError",
    "DataError",
    "GridMismatchError",
    "MLWatchError",
    "NotificationError",
    "ReferenceFileError",
    "SpoolError",
    "StoreError",
]


class MLWatchError(Exception):
    """The parent of every error raised by mlwatch."""


class ConfigurationError(MLWatchError, ValueError):
    """An argument or option cannot be right; the message names it and the remedy."""


class DataError(MLWatchError, ValueError):
    """Data handed in cannot be used; the message names the column or argument and the remedy."""


class GridMismatchError(MLWatchError, ValueError):
    """Counts made on different grids were to be added or compared."""


class ReferenceFileError(MLWatchError, ValueError):
    """A reference file is unreadable, foreign, newer than this library or of other features."""


class SpoolError(MLWatchError):
    """The spool cannot be written or read.

    Args:
        message: What failed, where, and the remedy.
        reason: Under which reason records are dropped that find no room while it lasts: a queue
            that fills behind a failing disk is no flood ("full").
        permanent: True when another try by this process cannot succeed.
    """

    def __init__(
        self, message: str, *, reason: str = "store_error", permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.permanent = permanent


class StoreError(MLWatchError):
    """A store cannot be opened, read or written; the message names the path and the remedy."""


class ConflictError(StoreError):
    """What a batch expected of the store no longer holds: someone else wrote first.

    Read the store again and decide anew; nothing of the batch was written.
    """


class NotificationError(MLWatchError):
    """A notifier did not deliver an alert.

    Args:
        message: What the receiver said.
        retry_after: Seconds to wait before the next try, where the receiver named them.
        permanent: True when another try cannot succeed (a wrong address, a revoked key).
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.permanent = permanent
