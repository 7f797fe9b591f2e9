"""One run: weeks of reference, weeks of traffic without a change, and the change to look for.

Imports numpy alone: it is also run by the peers, in environments that have no mlwatch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alarms.traffic import DAY, WEEK, Traffic

SEARCH_HOURS = 3 * WEEK
REFERENCE_WEEKS = 4
# The longest wait for the change (a clean day, then any hour of a week), and the search for it.
SHORTEST_WEEKS = 5


@dataclass(frozen=True)
class Scenario:
    """What every method is given.

    Args:
        name: Names the run in files.
        reference: Time-ordered traffic to learn from, shape (hours, rows, features).
        stream: The traffic after it, to be watched, of the same shape; nothing changes in it.
        feature: The one feature that changes in the shifted streams.
        onset: The hour of the stream from which it changes.
        sizes: By how much, in standard deviations of a row.
    """

    name: str
    reference: np.ndarray
    stream: np.ndarray
    feature: int
    onset: int
    sizes: tuple[float, ...]

    @property
    def features(self) -> int:
        """How many features a row has."""
        return self.stream.shape[2]

    @property
    def horizon(self) -> int:
        """The hour of the stream at which the search for the change is given up."""
        return min(self.onset + SEARCH_HOURS, len(self.stream))

    def shifted(self, size: float) -> Iterator[np.ndarray]:
        """Give the hours up to the horizon, all features, one of them shifted from the onset on."""
        shift = np.zeros(self.features)
        shift[self.feature] = size
        for hour, rows in enumerate(self.stream[: self.horizon]):
            yield rows + shift if hour >= self.onset else rows

    def shifted_columns(self) -> np.ndarray:
        """Give the changing feature alone, shifted by each size.

        Enough for a method that judges each feature by itself, and a fifth of the work.

        Returns:
            Shape (hours, rows, sizes), up to the horizon.
        """
        column = self.stream[: self.horizon, :, self.feature, None]
        is_on = np.arange(self.horizon)[:, None, None] >= self.onset
        return column + is_on * np.array(self.sizes)

    def reference_columns(self) -> np.ndarray:
        """Give the changing feature of the reference, once for each size."""
        return np.repeat(self.reference[:, :, self.feature, None], len(self.sizes), axis=2)

    def save(self, folder: Path) -> None:
        """Write what `load` reads, as `NAME.npz`."""
        np.savez(
            folder / f"{self.name}.npz",
            reference=self.reference,
            stream=self.stream,
            feature=self.feature,
            onset=self.onset,
            sizes=self.sizes,
        )


def simulate(model: str, run: int, weeks: int, sizes: tuple[float, ...]) -> Scenario:
    """Simulate a run: its seed, its changing feature and the hour of the change follow from it."""
    traffic = Traffic(model, seed=run)
    begin = REFERENCE_WEEKS * WEEK
    rng = np.random.default_rng((run, 0, 1))
    return Scenario(
        name=f"{model}-{run}".replace(" ", "-"),
        reference=traffic.hours(0, begin),
        stream=traffic.hours(begin, begin + weeks * WEEK),
        feature=int(rng.integers(traffic.features)),
        onset=int(DAY + rng.integers(WEEK)),
        sizes=sizes,
    )


def load(path: Path) -> Scenario:
    with np.load(path) as saved:
        return Scenario(
            name=path.stem,
            reference=saved["reference"],
            stream=saved["stream"],
            feature=int(saved["feature"]),
            onset=int(saved["onset"]),
            sizes=tuple(saved["sizes"].tolist()),
        )
