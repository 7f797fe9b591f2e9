"""What a model of churn is worth, if those at risk are contacted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlwatch import intervals
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Prediction, join_key, split_key
from mlwatch.scoring import Scoring
from mlwatch.window import Window

_TIERS = ("high", "medium", "low")
_UNSCORED = "unscored"
_LARGEST = 1e15


@dataclass(frozen=True, slots=True)
class RetentionValue:
    """Count customers by risk, and say what contacting those at high risk costs and saves.

    Each prediction is taken for one customer, in the tier of its score, the probability of the
    positive class: "high" from `high` up, "medium" from `medium` up to below `high`, else "low".
    With H customers in the high tier, all of whom are contacted:

    - `customers_at_risk` (label tier): how many there are in each tier
    - `revenue_at_risk` = H * customer_value
    - `contact_cost` = H * contact_cost
    - `revenue_saved` = H * success_rate * customer_value
    - `retention_roi` = (revenue_saved - contact_cost) / contact_cost

    Counts, revenue at risk and cost are exact. `revenue_saved` and `retention_roi` are
    expectations: how many of H contacts succeed is binomial with `success_rate`, and the interval
    is that of the value of the successes between its 2.5% and 97.5% quantiles. It does not know
    how wrong `success_rate` may be. The counts are made when predictions are ingested; those of
    before, or under other limits, are in no tier, and `why` says how many.

    Args:
        customer_value: What a customer who stays brings, in your currency.
        contact_cost: What contacting one costs.
        success_rate: The share of contacted customers who stay because of it, 0 to 1.
        high: From this score up the risk is high.
        medium: From this score up, and below `high`, it is medium.
        positive: The class that leaves, where predictions come with probabilities by class.
        name: The collector's name.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    customer_value: float
    contact_cost: float
    success_rate: float
    high: float = 0.7
    medium: float = 0.4
    positive: Hashable = 1
    name: str = "retention"

    def __post_init__(self) -> None:
        for name in ("customer_value", "contact_cost"):
            _require(name, getattr(self, name), 0.0, _LARGEST, "from 0 to 1e15")
        for name in ("success_rate", "high", "medium"):
            _require(name, getattr(self, name), 0.0, 1.0, "a share from 0 to 1")
        if self.medium >= self.high:
            raise ConfigurationError(
                f"RetentionValue(high={self.high!r}, medium={self.medium!r}): medium must be below "
                "high"
            )

    def tally(self, rows: Sequence[Prediction]) -> Mapping[str, int]:
        """Count the predictions of a pane by tier; the limits are part of the names."""
        scoring = Scoring("binary", (None, self.positive))
        return Counter(self._cell(self._tier(scoring, row)) for row in rows)

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the figures of the window; without a customer in a tier only the counts."""
        tally = window.tally(self.name)
        tiers = {tier: tally.get(self._cell(tier), 0) for tier in _TIERS}
        n, known = window.tally("rows").get("recorded", 0), sum(tiers.values())
        lost = f"{n - known:,} of {n:,} predictions are in no tier{_because(tally, known, n)}"
        why = lost if known < n else ""
        for tier, count in tiers.items():
            yield Metric("customers_at_risk", float(count), n=known, labels={"tier": tier}, why=why)
        if not known:
            names = ("revenue_at_risk", "contact_cost", "revenue_saved", "retention_roi")
            none = f"not enough data: {why or 'there are no predictions'}"
            yield from (Metric(name, None, why=none) for name in names)
            return
        yield from self._money(tiers["high"], known, why)

    def _money(self, contacts: int, n: int, why: str) -> Iterator[Metric]:
        cost = contacts * self.contact_cost
        yield Metric("revenue_at_risk", contacts * self.customer_value, n=n, why=why)
        yield Metric("contact_cost", cost, n=n, why=why)
        successes = intervals.binomial(contacts, self.success_rate)
        saved = contacts * self.success_rate * self.customer_value
        low, high = (end * self.customer_value for end in successes)
        low, high = min(low, saved), max(high, saved)  # rare successes: the mean lies outside
        yield Metric("revenue_saved", saved, low, high, n, why=why)
        if not cost:
            reason = "nobody is contacted" if not contacts else "a contact costs nothing"
            yield Metric("retention_roi", None, n=n, why=f"undefined: {reason}")
            return
        roi, least, most = ((value - cost) / cost for value in (saved, low, high))
        yield Metric("retention_roi", roi, least, most, n, why=why)

    def _tier(self, scoring: Scoring, row: Prediction) -> str:
        score, _ = scoring.read(row.prediction, row.probability)
        if not isinstance(score, int | float):
            return _UNSCORED
        return _TIERS[0 if score >= self.high else 1 if score >= self.medium else 2]

    def _cell(self, tier: str) -> str:
        return join_key(tier, f"{float(self.medium)!r}", f"{float(self.high)!r}")


def _because(tally: Mapping[str, int], known: int, n: int) -> str:
    """Return in brackets why predictions are in no tier, as far as it was counted."""
    unscored = sum(count for cell, count in tally.items() if split_key(cell)[0] == _UNSCORED)
    other = sum(tally.values()) - known - unscored
    reasons = {
        "without a score": unscored,
        "counted under other limits": other,
        "not kept, or of before this was counted": n - known - unscored - other,
    }
    told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count > 0)
    return f" ({told})" if told else ""


def _require(name: str, value: Any, least: float, most: float, what: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise ConfigurationError(f"RetentionValue({name}={value!r}): must be {what}")
