"""Which predictions are kept while too many come: a random sample, the smaller the fuller it is."""

from __future__ import annotations

from typing import Final

_SMALLEST_SHARE = 1 / 8
_WORD: Final = 2**64 - 1


def share_kept(queued: int, bound: int) -> float:
    """Return the share that is kept: all up to half of the bound, an eighth near it."""
    return max(_SMALLEST_SHARE, min(1.0, 2 * (1 - queued / bound)))


def keeps(number: int, queued: int, bound: int) -> bool:
    """Say whether the arrival of a number is kept.

    By a hash of the number and not every n-th, as traffic is periodic: the finaliser of
    MurmurHash3 (Appleby, 2011), whose bits all depend on all of the number's.
    """
    return _mixed(number) < share_kept(queued, bound) * _WORD


def _mixed(number: int) -> int:
    mixed = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & _WORD
    mixed = (mixed ^ mixed >> 33) * 0xC4CEB9FE1A85EC53 & _WORD
    return mixed ^ mixed >> 33
