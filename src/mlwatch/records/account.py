"""The account of a model: what was handed over, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlwatch.records.keys import join_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was handed over by all writers, and what became of it.

    It only grows: the progress of a writer is forgotten with the panes, its account is not.

    Args:
        recorded: Predictions, outcomes and requests that were handed over.
        stored: Those that are in the store.
        dropped: The rest, by reason.
        noted: What was stored but is worth knowing, by reason.
    """

    recorded: int = 0
    stored: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: Account) -> Account:
        """Return both accounts in one."""
        return Account(
            recorded=self.recorded + other.recorded,
            stored=self.stored + other.stored,
            dropped=dict(Counter(self.dropped) + Counter(other.dropped)),
            noted=dict(Counter(self.noted) + Counter(other.noted)),
        )

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Account:
        """Return the account in the body of ingest's state, to which each of its batches adds."""
        return cls(**{name: body[name] for name in cls.__slots__ if name in body})


def ingest_key(model: str) -> str:
    """Return the name of ingest's state, which all batches of a model change in turn."""
    return join_key("ingest", model)
