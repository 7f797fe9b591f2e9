"""What share of a feature's values is missing, unknown, out of range or no value of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlwatch.detectors.novelty import expected_unseen
from mlwatch.intervals import Interval
from mlwatch.profile import Distribution, NumericGrid, Profile
from mlwatch.records import Metric

Part = tuple[float, float]
"""So many of so many."""


def shares(
    reference: Profile, current: Profile, interval: Callable[[int, int], Interval]
) -> Iterator[Metric]:
    """Return the shares of every feature, each beside that on the reference.

    Args:
        reference: What the traffic is compared with.
        current: The traffic.
        interval: Gives the interval of a share.
    """
    for name, found in current.distributions.items():
        usual = parts(reference.distributions[name])
        for metric, (k, n) in parts(found).items():
            known = _usual(metric, reference.distributions[name], usual)
            labels = {"feature": name}
            if not n:
                why = f"not enough data: {_LACKING.get(metric, 'no values in the window')}"
                yield Metric(metric, None, labels=labels, why=why, reference=known)
                continue
            low, high = interval(k, n)
            yield Metric(metric, k / n, low, high, n, labels, reference=known)


_LACKING = {"out_of_range_share": "no finite values in the window, or none in the reference"}


def parts(found: Distribution) -> dict[str, tuple[int, int]]:
    """Return by metric how many of how many values of a feature are meant."""
    total = found.total
    counted = {
        "missing_share": (found.absent, total),
        "wrong_kind_share": (found.wrong_kind, total),
    }
    if not isinstance(found.grid, NumericGrid):
        return counted | {"unseen_share": (found.unseen, found.n)}
    beyond = (0, 0)
    if len(found.grid.points):
        beyond = int(found.counts[0] + found.counts[-1]), int(found.counts.sum())
    counted["out_of_range_share"] = beyond
    return counted if found.grid.time else counted | {"infinite_share": (found.infinite, total)}


def _usual(metric: str, reference: Distribution, usual: dict[str, tuple[int, int]]) -> float | None:
    """Return a share on the reference; of unseen values the share to be expected."""
    k: float
    n: float
    k, n = expected_unseen(reference) if metric == "unseen_share" else usual[metric]
    return k / n if n else None
