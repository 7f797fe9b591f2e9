"""Features dropped, hashed, masked or rewritten, and the words of an error that would tell them.

What is missing, None or NaN stays so. A redactor that raises costs its field, and never lets the
raw value through; of lists, mappings and the like it is given copies, so that it may change them.
Equal values have equal hashes, on every host that has the same key, so that joins and drift of
categories still work: as among the categories of a reference 1, 1.0 and True are one value, and "1"
is another. The hash of a text can be had anywhere, as
`hmac.new(key, text.encode(), "sha256").hexdigest()[:32]`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

import numpy as np

from mlwatch._guard import salvage, type_name
from mlwatch.profile.values import listed
from mlwatch.records.redact import Redact, check_redaction
from mlwatch.redaction.values import hash_with, is_absent, mask, text_of

EVERYTHING: Final = "*"
"""Under what a function of all features is told when it fails."""

_UNSEEN = "[redacted]"
_DEEPEST = 8
_FAILED: Final[Any] = object()


class Redactor:
    """Redact features, one record or one table at a time.

    Args:
        redact: "drop", "hash", "mask" or a function of the value, by the feature's name; or a
            function of the whole mapping of features.
        key: The secret for "hash", at least 16 bytes.

    Attributes:
        actions: "drop", "hash", "mask" or the name of a function, by feature.
        whole_name: The name of a function of all features, or "".
        key_digest: By what two keys are told apart, where something is hashed.

    Raises:
        ConfigurationError: An action is unknown, or the key is missing or too short.
    """

    def __init__(self, redact: Redact, key: bytes | str | None = None) -> None:
        check_redaction("Redactor", redact, key)
        self._whole: Callable[[dict[str, Any]], Any] | None = None
        self._turns: dict[str, Callable[[Any], Any] | None] = {}
        self.actions: dict[str, str] = {}
        self.whole_name = self.key_digest = ""
        if callable(redact):
            self._whole = _on_all(redact)
            self.whole_name = _name_of(redact)
            return
        known: dict[str, Callable[[Any], Any] | None] = {"drop": None, "mask": mask}
        if key is not None and "hash" in redact.values():
            known["hash"], self.key_digest = hash_with(key)
        for name, action in redact.items():
            self._turns[name] = known[action] if isinstance(action, str) else _on_own(action)
            self.actions[name] = _name_of(action)

    def features(self, features: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the features of one record without what nobody may see.

        Args:
            features: Features by name; they stay as they are.

        Returns:
            The features, and the names of those that are left out because their redactor failed;
            `EVERYTHING` where that of all of them did.
        """
        if self._whole is not None:
            found = salvage(self._whole, features, _FAILED)
            return ({}, [EVERYTHING]) if found is _FAILED else (found, [])
        kept, failed = features.copy(), []
        for name, turn in self._turns.items():
            if name not in kept:
                continue
            value = _FAILED if turn is None else _turned(turn, kept[name])
            if value is not _FAILED:
                kept[name] = value
                continue
            del kept[name]
            if turn is not None:
                failed.append(name)
        return kept, failed

    def columns(self, frame: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
        """Return the columns of a table without what nobody may see.

        Args:
            frame: A DataFrame, or columns of equal length by name; they stay as they are.

        Returns:
            The columns, and in how many rows which redactor failed. There the value is None.
        """
        failed: Counter[str] = Counter()
        kept = {name: frame[name] for name in list(frame.keys())}
        if self._whole is not None:
            return self._rows(kept, failed), failed
        for name in self._turns.keys() & kept.keys():
            turn, column = self._turns[name], kept.pop(name)
            if turn is not None:
                values = [_turned(turn, value) for value in _objects(column)]
                failed[name] = sum(value is _FAILED for value in values)
                kept[name] = [None if value is _FAILED else value for value in values]
        return {name: kept[name] for name in list(frame.keys()) if name in kept}, +failed

    def error(self, error: Any, raw: Mapping[str, Any]) -> str | None:
        """Return what may be kept of an error: of an exception its name, of a text no raw value.

        Of a text that is a best effort: a value is found as it is, in capitals or not, and as
        `repr` writes it, but not in part, nor in other words. It is looked for wherever a feature
        is redacted, whatever became of it; under a function of all features, of them all.

        Args:
            error: What was given as the error of a record.
            raw: The features of the record before redaction.
        """
        if error is None:
            return None
        if issubclass(type(error), BaseException):
            return type_name(error)  # the message may hold anything, whole or in part
        if not raw:
            return _UNSEEN  # of features that could not be read nobody knows what the text tells
        text = str.__str__(salvage(str, error, f"<{type_name(error)}>"))
        names = raw if self._whole is not None else self._turns.keys() & raw.keys()
        words = {word for name in names for word in _words(raw[name], _DEEPEST)} - {""}
        if not words:
            return text
        found = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
        return re.sub(found, _UNSEEN, text, flags=re.IGNORECASE)

    def _rows(self, columns: Mapping[str, Any], failed: Counter[str]) -> dict[str, Any]:
        rows = []
        for values in zip(*map(_objects, columns.values()), strict=True):
            row, missed = self.features(dict(zip(columns, values, strict=True)))
            rows.append(row)
            failed.update(missed)
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}


def make_redactor(redact: Redact | None, key: bytes | str | None) -> Redactor | None:
    """Return what redacts features, or None where nothing is to be redacted."""
    return Redactor(redact, key) if callable(redact) or redact else None


def _on_own(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function so that it is handed a value of its own."""
    return lambda value: function(_own(value))


def _on_all(function: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Return the function of all features so that it is handed features of its own."""
    return lambda raw: dict(function({name: _own(value) for name, value in raw.items()}))


def _own(value: Any) -> Any:
    """Return a copy of what holds values, as a list does, and anything else as it is."""
    kind = type(value)
    if issubclass(kind, str | bytes) or not issubclass(kind, Container):
        return value
    return deepcopy(value)


def _turned(turn: Callable[[Any], Any], value: Any) -> Any:
    absent = salvage(is_absent, value, _FAILED)
    if absent is False:
        return salvage(turn, value, _FAILED)
    return value if absent is True else _FAILED


def _objects(column: Any) -> list[Any]:
    values = listed(column)
    if isinstance(values, np.ndarray) and values.dtype.kind != "M":
        return list(values.tolist())
    return list(values)  # of times too, of which tolist() may make nanoseconds


def _words(value: Any, room: int) -> Iterator[str]:
    """Give the texts that a value, or a part of it, may have in a message."""
    kind = type(value)
    if room and issubclass(kind, dict):
        value, kind = list(dict.values(value)), list
    if room and issubclass(kind, list | tuple | set | frozenset):
        parts: list[Any] = salvage(list, value, [])
        for part in parts:
            yield from _words(part, room - 1)
    elif not salvage(is_absent, value, False):
        own = salvage(text_of, value, ("", ""))[1]
        for text in (own, salvage(str, value, ""), salvage(repr, value, "")):
            yield str.__str__(text)
            yield str.__repr__(text)[1:-1]


def _name_of(action: Any) -> str:
    if isinstance(action, str):
        return action
    return f"function {getattr(action, '__name__', type(action).__name__)}"
