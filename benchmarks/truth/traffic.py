"""Real rows in the order of time, and how a monitor is told of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from mlwatch import Monitor, Reference

ROOT = Path(__file__).parents[2]


def folder() -> Path:
    """Return where the data are that do not belong to the project."""
    return Path(os.environ.get("MLWATCH_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Rows in the order of time.

    Args:
        features: The features.
        times: When each row was served, in UTC; rows of one time are one batch.
        predictions: What the model served.
        outcomes: The truth, where it is told.
    """

    features: pd.DataFrame
    times: pd.DatetimeIndex
    predictions: np.ndarray
    outcomes: np.ndarray | None = None

    def between(self, since: Any, until: Any) -> "Traffic":
        """Return the rows of `[since, until)`."""
        rows = slice(*self.times.searchsorted([utc(since), utc(until)]))
        outcomes = None if self.outcomes is None else self.outcomes[rows]
        return Traffic(self.features[rows], self.times[rows], self.predictions[rows], outcomes)

    def reference(self, task: str, judged: slice = slice(None)) -> Reference:
        """Return a reference of these rows that knows their days.

        Args:
            task: The model's task.
            judged: The rows whose predictions and outcomes it knows.
        """
        return Reference.fit(
            self.features,
            timestamps=self.times,
            predictions=self.predictions[judged],
            outcomes=None if self.outcomes is None else self.outcomes[judged],
            task=task,
        )

    def column(self, name: str) -> pd.Series:
        """Return a feature, or what was predicted."""
        return pd.Series(self.predictions) if name == "prediction" else self.features[name]

    def effects(self, before: "Traffic") -> dict[str, float]:
        """Return from the raw rows what share of each feature, and of the prediction, moved."""
        names = ["prediction", *self.features]
        return {name: effect(before.column(name), self.column(name)) for name in names}

    def record(self, monitor: Monitor) -> None:
        """Tell a monitor of all rows, batch by batch, and of their outcomes at once."""
        for time, places in pd.Series(range(len(self.times))).groupby(self.times):
            rows = slice(places.iloc[0], places.iloc[-1] + 1)
            served = time.to_pydatetime()
            ids = monitor.record_batch(
                self.features[rows], self.predictions[rows].tolist(), timestamp=served
            )
            if self.outcomes is not None:
                monitor.record_outcomes(ids, self.outcomes[rows].tolist(), timestamp=served)


def effect(before: pd.Series, now: pd.Series) -> float:
    """Return the Kolmogorov-Smirnov distance of numbers, the total variation of the others."""
    if pd.api.types.is_numeric_dtype(before):
        return float(ks_2samp(before, now, method="asymp").statistic)
    shares = before.value_counts(normalize=True), now.value_counts(normalize=True)
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def spread(periods: pd.PeriodIndex) -> pd.DatetimeIndex:
    """Return times that spread the rows of each period evenly over its days, all at noon."""
    rows = pd.Series(1, index=range(len(periods))).groupby(periods)
    place = ((rows.cumsum() - 1) / rows.transform("size")).to_numpy()
    begin, end = periods.start_time, (periods + 1).start_time
    days = (begin + (end - begin) * place).floor("D")
    return (days + pd.Timedelta(hours=12)).tz_localize("UTC")


def utc(time: Any) -> pd.Timestamp:
    """Return a time as a timestamp in UTC."""
    stamp = pd.Timestamp(time)
    return stamp if stamp.tzinfo else stamp.tz_localize("UTC")
