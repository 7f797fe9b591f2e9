"""Simulated traffic as the coarse counts of its hours: each model breaks independence another way.

After section 4.5 of the statistics: sessions of 10 rows that share half of their variance, an
hourly AR(1), a daily and weekly season, and heavy-tailed shocks of whole days; and days that have
normal levels of their own.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from scipy import stats

from mlwatch.profile import Distribution, NumericGrid
from mlwatch.profile.coarse import History, condense
from mlwatch.sequential.scores import streams
from mlwatch.spans import HOUR

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = 25_600
VALUES = stats.norm.ppf((np.arange(ROWS) + 0.5) / ROWS)
REFERENCE = Distribution.count("x0", NumericGrid.fit(VALUES), VALUES)
"""So large that it is the distribution itself."""

MASS = condense(REFERENCE)[:-1]
CELLS = len(MASS)
EDGES = stats.norm.ppf(np.cumsum(MASS[:-1]) / ROWS)

MODELS = {
    "iid": (),
    "sessions": ("sessions",),
    "ar": ("ar",),
    "season": ("season",),
    "all": ("sessions", "ar", "season"),
    "levels": ("levels",),
    "shocks": ("sessions", "shocks"),
}


def means(parts, hours, features, rng):
    """Return what each hour adds to all its rows, shape (hours, features)."""
    total = np.zeros((hours, features))
    if "ar" in parts:
        path = rng.normal(scale=0.1, size=(hours, features))
        path[1:] *= np.sqrt(1 - 0.9**2)
        for hour in range(1, hours):
            path[hour] += 0.9 * path[hour - 1]
        total += path
    if "season" in parts:
        clock = np.arange(hours)[:, None]
        phase = rng.uniform(0, 2 * np.pi, features)
        total += 0.3 * np.sin(2 * np.pi * clock / 24 + phase) + 0.15 * (clock // 24 % 7 >= 5)
    if "levels" in parts:
        total += np.repeat(rng.normal(0, 0.5, (hours // 24, features)), 24, axis=0)
    if "shocks" in parts:
        total += np.repeat(0.05 * rng.standard_t(3, (hours // 24, features)), 24, axis=0)
    return total


def draw(model, hours, features=1, seed=0, *, rows=200, shift=0.0, since=0):
    """Draw the coarse counts of hours, shape (hours, features, cells + 1); none is absent.

    Args:
        model: One of `MODELS`.
        hours: How many.
        features: How many.
        seed: Of the generator.
        rows: An hour.
        shift: Of the first feature, in standard deviations.
        since: The hour from which it is shifted.
    """
    rng = np.random.default_rng(seed)
    parts = MODELS[model]
    lifted = means(parts, hours, features, rng)
    lifted[since:, 0] += shift
    counts = np.zeros((hours, features, CELLS + 1), np.int64)
    for hour in range(hours):
        values = rng.standard_normal((rows, features))
        if "sessions" in parts:
            shared = rng.standard_normal((rows // 10, features))
            values = np.sqrt(0.5) * (values + np.repeat(shared, 10, axis=0))
        cells = np.searchsorted(EDGES, values + lifted[hour])
        flat = np.bincount(
            (cells + CELLS * np.arange(features)).ravel(), minlength=CELLS * features
        )
        counts[hour, :, :CELLS] = flat.reshape(features, CELLS)
    return counts


def names(features):
    return [f"x{place}" for place in range(features)]


def history(counts, start=START):
    """Return hours of counts as a history."""
    starts = tuple(start + hour * HOUR for hour in range(len(counts)))
    found = names(counts.shape[1])
    return History(HOUR, starts, {name: counts[:, i] for i, name in enumerate(found)})


def stream(feature="x0"):
    """Return what is watched of the values of a feature."""
    return next(streams(replace(REFERENCE, name=feature)))


def panes(counts, start=START):
    """Give the start and the counts by feature of each hour."""
    found = names(counts.shape[1])
    for hour, by_feature in enumerate(counts):
        yield start + hour * HOUR, dict(zip(found, by_feature, strict=True))
