"""What a monitor and its reference have to redact alike, and how they are told apart."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlwatch.errors import ConfigurationError, DataError
from mlwatch.records.redact import Redact, check_redaction
from mlwatch.redaction.redactor import EVERYTHING, Redactor, make_redactor


@dataclass(frozen=True)
class Redacted:
    """What was done to which features, as a reference remembers it; never the key.

    Args:
        actions: "drop", "hash", "mask" or the name of a function, by feature.
        whole: The name of a function of all features, or "".
        key: A digest by which two keys are told apart, where something is hashed.
        columns: The names of the features before, in the order of the data.
    """

    actions: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""
    key: str = ""
    columns: tuple[str, ...] = ()

    @classmethod
    def by(cls, redactor: Redactor | None) -> Redacted | None:
        """Return what a redactor does."""
        if redactor is None:
            return None
        return cls(redactor.actions, redactor.whole_name, redactor.key_digest)

    def to_plain(self) -> dict[str, Any]:
        """Return what a reference's file says of it."""
        return {
            "actions": dict(self.actions),
            "whole": self.whole,
            "key": self.key,
            "columns": list(self.columns),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any] | None) -> Redacted | None:
        """Return what `to_plain` wrote, or None."""
        return None if plain is None else cls(**{**plain, "columns": tuple(plain["columns"])})


def fit_columns(
    frame: Mapping[str, Any], redact: Redact | None, key: bytes | str | None
) -> tuple[Mapping[str, Any], Redacted | None]:
    """Return the columns a reference is fitted with, and what was redacted.

    Raises:
        ConfigurationError: The redaction cannot be right, or names a column that is not there.
        DataError: A redactor failed; the message names the column.
    """
    check_redaction("Reference.fit", redact, key)
    redactor = make_redactor(redact, key)
    if redactor is None:
        return frame, None
    for name in redactor.actions:
        if name not in frame:
            raise ConfigurationError(
                f"Reference.fit(redact=...): the data has no column {name!r}{_near(name, frame)}; "
                "where the service sends it and the data lacks it, add a column of None"
            )
    kept, failed = redactor.columns(frame)
    for name, rows in failed.items():
        what = "the function of all features" if name == EVERYTHING else f"column {name!r}"
        raise DataError(
            f"redact: {what} failed in {rows:,} rows; a function must return for every value, and "
            '"hash" and "mask" take text, bytes, numbers and times'
        )
    done = Redacted.by(redactor)
    return kept, done and replace(done, columns=tuple(frame))


def check_same(here: Redacted | None, there: Redacted | None, columns: Collection[str]) -> None:
    """Refuse a redaction other than that of the reference.

    Args:
        here: What the monitor redacts.
        there: What was redacted when the reference was fitted.
        columns: The features of the data that it was fitted with.

    Raises:
        ConfigurationError: They differ: everything would be new to the reference, or raw in the
            store. The message names the features.
    """
    ours, theirs = here or Redacted(), there or Redacted()
    for name in ours.actions:
        if name not in columns and name not in theirs.actions:
            raise ConfigurationError(
                f"CaptureOptions(redact=...): the reference has no feature {name!r}"
                f"{_near(name, columns)}; correct the name, or fit the reference with the same "
                "redact= and a column of that name, which may be all None"
            )
    differ = [
        f"{name!r} ({_done(ours.actions.get(name))} here, {_done(theirs.actions.get(name))} in "
        "the reference)"
        for name in sorted(ours.actions.keys() | theirs.actions.keys())
        if ours.actions.get(name) != theirs.actions.get(name)
    ]
    if ours.whole != theirs.whole:
        differ.append(
            f"all features ({_done(ours.whole)} here, {_done(theirs.whole)} in the reference)"
        )
    if differ:
        raise ConfigurationError(
            f"CaptureOptions(redact=...) and the reference differ in {', '.join(differ)}: give "
            "both the same, as Reference.fit(..., redact=..., redact_key=...) where it is fitted"
        )
    if ours.key != theirs.key:
        hashed = [name for name, action in ours.actions.items() if action == "hash"]
        raise ConfigurationError(
            "CaptureOptions(redact_key=...) is another key than the reference was fitted with, so "
            f"that the hashes of {', '.join(map(repr, hashed))} differ: give the same, or fit anew"
        )


def _done(action: str | None) -> str:
    return action or "kept raw"


def _near(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
