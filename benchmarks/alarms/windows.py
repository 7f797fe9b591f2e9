"""Methods that judge a window of rows, feature by feature, against the rows of the reference."""

from collections.abc import Callable, Iterator

import numpy as np

from alarms.answer import Answer
from alarms.scenario import Scenario

# Rows of a window, shape (rows, columns) -> for each column whether it has drifted.
Check = Callable[[np.ndarray], np.ndarray]
# Rows of the reference, and how many features are watched altogether -> the check against them.
Fit = Callable[[np.ndarray, int], Check]


def flat(hours: np.ndarray) -> np.ndarray:
    return hours.reshape(-1, hours.shape[2])


def windows(hours: np.ndarray, length: int, after: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Cut hours into windows side by side; give each that ends after an hour, with its end."""
    for end in range(length, len(hours) + 1, length):
        if end > after:
            yield end, flat(hours[end - length : end])


def watch(scenario: Scenario, length: int, fit: Fit) -> Answer:
    """Check every window of the stream, and of the shifted feature from the onset on.

    Args:
        scenario: The run.
        length: The hours of a window, at the end of which there is a check.
        fit: Makes the check.
    """
    check = fit(flat(scenario.reference), scenario.features)
    verdicts = {end: check(rows) for end, rows in windows(scenario.stream, length)}
    check = fit(flat(scenario.reference_columns()), scenario.features)
    shifted = windows(scenario.shifted_columns(), length, after=scenario.onset)
    found = {end: check(rows) for end, rows in shifted}
    return Answer(
        {
            end: tuple(np.flatnonzero(drifted).tolist())
            for end, drifted in verdicts.items()
            if any(drifted)
        },
        {
            size: tuple(end for end, drifted in found.items() if drifted[column])
            for column, size in enumerate(scenario.sizes)
        },
    )


def sample(rows: np.ndarray, size: int) -> np.ndarray:
    """Draw rows of a reference that is too long to be compared with at every check."""
    return np.random.default_rng(0).choice(rows, size, replace=False)
