"""Simulated traffic of a model service, the same for the same seed.

Every feature of a row is normal with variance 1; a model of traffic adds what makes real traffic
unlike independent rows. Hour 0 is midnight on a Monday.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

DAY = 24
WEEK = 7 * DAY
HORIZON = 52 * WEEK
SESSION_ROWS = 10

MODELS = {
    "iid": (),
    "sessions": ("sessions",),
    "AR(1)": ("ar",),
    "season": ("season",),
    "all three": ("sessions", "ar", "season"),
    "day shocks": ("sessions", "shocks"),
}


@dataclass(frozen=True)
class Traffic:
    """Rows of one model of traffic, hour by hour.

    Args:
        model: One of `MODELS`.
        seed: Whatever is asked for, in any order, depends on this alone.
        features: How many features a row has.
        rows_per_hour: How many rows an hour has.
    """

    model: str
    seed: int
    features: int = 20
    rows_per_hour: int = 200

    def hour(self, hour: int) -> np.ndarray:
        """Make one hour.

        Returns:
            Shape (rows, features).
        """
        rng = np.random.default_rng((self.seed, hour))
        rows = rng.standard_normal((self.rows_per_hour, self.features))
        if "sessions" in MODELS[self.model]:
            rows = np.sqrt(0.5) * rows + np.sqrt(0.5) * self._sessions(rng)
        return rows + self.effects[hour]

    def hours(self, start: int, stop: int) -> np.ndarray:
        """Make the hours from `start` to before `stop`.

        Returns:
            Shape (hours, rows, features).
        """
        return np.stack([self.hour(hour) for hour in range(start, stop)])

    @cached_property
    def effects(self) -> np.ndarray:
        """What each hour adds to all its rows, shape (hours, features)."""
        parts = MODELS[self.model]
        # A generator for each part, so that "season" is one season, whatever else is added.
        rngs = [np.random.default_rng((self.seed, HORIZON + part)) for part in range(3)]
        total = np.zeros((HORIZON, self.features))
        if "ar" in parts:
            total += autoregressive(rngs[0], self.features)
        if "season" in parts:
            total += seasonal(rngs[1], self.features)
        if "shocks" in parts:
            total += day_shocks(rngs[2], self.features)
        return total

    def _sessions(self, rng: np.random.Generator) -> np.ndarray:
        """Draw what the rows of a session share; half of the variance, so that the ICC is .5."""
        sessions = -(-self.rows_per_hour // SESSION_ROWS)
        shared = rng.standard_normal((sessions, self.features))
        return np.repeat(shared, SESSION_ROWS, axis=0)[: self.rows_per_hour]


def autoregressive(
    rng: np.random.Generator, features: int, memory: float = 0.9, sd: float = 0.1
) -> np.ndarray:
    """Let each feature wander by the hour, a stationary AR(1)."""
    path = rng.normal(scale=sd, size=(HORIZON, features))
    path[1:] *= np.sqrt(1 - memory**2)
    for hour in range(1, HORIZON):
        path[hour] += memory * path[hour - 1]
    return path


def seasonal(
    rng: np.random.Generator, features: int, daily: float = 0.3, weekend: float = 0.15
) -> np.ndarray:
    """Swing each feature through the day, at an hour of its own, and lift it at the weekend."""
    hours = np.arange(HORIZON)[:, None]
    phase = rng.uniform(0, 2 * np.pi, size=features)
    is_weekend = hours // DAY % 7 >= 5
    return daily * np.sin(2 * np.pi * hours / DAY + phase) + weekend * is_weekend


def day_shocks(rng: np.random.Generator, features: int, scale: float = 0.05) -> np.ndarray:
    """Move each feature for a day at a time, by t with 3 degrees of freedom: heavy tails."""
    return np.repeat(scale * rng.standard_t(3, size=(HORIZON // DAY, features)), DAY, axis=0)
