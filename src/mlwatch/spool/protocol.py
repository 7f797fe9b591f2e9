"""What the recorder writes to and ingest reads from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from mlwatch.spool.frame import Encoded, Frame, SegmentId


class Spool(Protocol):
    """Segments of frames: appended by one writer, read by anyone, removed when ingested."""

    @property
    def writer(self) -> str:
        """The name under which this process appends."""
        ...

    @property
    def bytes(self) -> int:
        """The size of all segments, of every writer."""
        ...

    def append(
        self,
        records: Sequence[Encoded],
        recorded: int,
        dropped: Mapping[str, int],
        noted: Mapping[str, int],
    ) -> None:
        """Append one frame to this process's own segment.

        Args:
            records: Encoded records; none for a frame that only carries counts.
            recorded: How many records the host handed over since the last frame.
            dropped: How many were dropped since, by reason.
            noted: What else is worth knowing of them, by reason.

        Raises:
            SpoolError: The frame was not written; appending it again makes no duplicate.
        """
        ...

    def segments(self) -> list[SegmentId]:
        """Return all segments, those of other and of dead processes too, oldest first.

        Raises:
            SpoolError: The spool cannot be read at all, as for `bytes`.
        """
        ...

    def read(self, segment: SegmentId, after: int, *, to_end: bool = False) -> Iterator[Frame]:
        """Return the frames numbered above `after`, past those that are damaged.

        What was lost with damaged frames is counted by the next sound one.

        Args:
            segment: Which to read.
            after: The number of the last frame that is known.
            to_end: The segment was finished before: count what cannot be read at its end too, in
                a last frame of its own.

        Raises:
            SpoolError: The segment cannot be read, is foreign or newer than this library.
        """
        ...

    def finished(self, segment: SegmentId) -> bool:
        """Whether nobody will append to the segment any more.

        Ask before reading: what is read after a True is all there will be.
        """
        ...

    def remove(self, segment: SegmentId) -> None:
        """Remove a finished segment; one that is gone already is no error.

        One in which damage was met may be kept under another name.

        Raises:
            SpoolError: The segment is not finished, or cannot be removed.
        """
        ...

    def forget(self) -> None:
        """Let go, in a forked child, of what belongs to the parent; takes no lock."""
        ...

    def rotate(self) -> None:
        """Finish the open segment when it is time for that, so that it can be removed."""
        ...

    def close(self) -> None:
        """Finish the open segment; a later append starts another."""
        ...
