"""Episodes: drift opens one, and closes it only when it has been gone for a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

CALM = timedelta(hours=24)
"""An episode closes after its effect has stayed below half of the margin for so long."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Drift that was found and has not gone.

    Args:
        since: When it was found.
        why: What was found, in words.
        calm_since: Since when its effect is below half of the margin, if it is.
        known: Whether it was known what is usual; if not, it ends where it turns out to be usual.
    """

    since: datetime
    why: str
    calm_since: datetime | None = None
    known: bool = True


def follow(
    episode: Episode | None,
    *,
    opens: str,
    low: float | None,
    margin: float,
    now: datetime,
    known: bool = True,
) -> Episode | None:
    """Return the episode as it stands now, or None when there is none, or none any more.

    Args:
        episode: As it stood.
        opens: Why one has to be open now, or "".
        low: The lower bound of the effect now; None while there is not enough data.
        margin: The share of traffic that may move.
        now: The time.
        known: Whether it is known what is usual.
    """
    if opens:
        if episode is None:
            return Episode(now, opens, known=known)
        return replace(episode, calm_since=None, known=known)
    if episode is None or low is None:
        return episode
    if known and not episode.known:
        return None
    if low > margin / 2:
        return replace(episode, calm_since=None)
    calm_since = episode.calm_since or now
    return None if now - calm_since >= CALM else replace(episode, calm_since=calm_since)


def to_plain(episodes: Mapping[str, Episode]) -> dict[str, Any]:
    """Return episodes as JSON-able values."""
    return {
        key: [it.since.isoformat(), it.why, it.calm_since and it.calm_since.isoformat(), it.known]
        for key, it in episodes.items()
    }


def from_plain(plain: Mapping[str, Any]) -> dict[str, Episode]:
    """Read what `to_plain` gave."""
    return {
        key: Episode(
            datetime.fromisoformat(since), why, calm and datetime.fromisoformat(calm), known
        )
        for key, (since, why, calm, known) in plain.items()
    }
