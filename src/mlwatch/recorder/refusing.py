"""What a recorder does with what it cannot take as it is: it counts it, or raises where asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlwatch.errors import DataError
from mlwatch.recorder.arguments import REMEDIES
from mlwatch.recorder.buffer import Buffer


class Refusing:
    """The part of a recorder that counts by reason.

    Args:
        strict: Raise instead, for tests of the host's own.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def _changed(self, buffer: Buffer, changed: tuple[Any, str | None]) -> Any:
        """Return what an argument became; count why, or raise when strict."""
        value, reason = changed
        if reason is not None:
            self._check_strict(reason)
            buffer.note(reason)
        return value

    def _replaced(self, buffer: Buffer, types: Sequence[str]) -> None:
        """Count a record some of whose values were replaced, or raise when strict."""
        if not types:
            return
        if self._strict:
            kinds = ", ".join(sorted(set(types)))
            raise DataError(f"unencodable_value: values of type {kinds} cannot be kept")
        buffer.note_types("unencodable_value", types)

    def _refuse(self, buffer: Buffer, reason: str, count: int = 1) -> None:
        """Count records that are not taken, or raise when strict."""
        self._check_strict(reason)
        buffer.drop(reason, count)

    def _check_strict(self, reason: str) -> None:
        if self._strict:
            raise DataError(f"{reason}: {REMEDIES[reason]}")

    def _give_up(self, buffer: Buffer, problem: Exception) -> None:
        self._check_raises(problem)
        buffer.drop("unencodable")

    def _check_raises(self, problem: Exception) -> None:
        if self._strict:
            raise problem
