"""What a method answers, and what is counted in it. Imports nothing but the standard library."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

CLOSES_AFTER = 24  # hours: alarms no farther apart are one episode


@dataclass(frozen=True)
class Answer:
    """The alarms of one method in one run.

    Args:
        quiet: For each alarming check of the unchanged stream, the features that it named, by the
            hour at whose start it was made.
        shifted: For each size of the shift, the hours of the checks that named the shifted feature.
            A size that is absent was not looked for.
    """

    quiet: Mapping[int, tuple[int, ...]]
    shifted: Mapping[float, tuple[int, ...]]

    def to_json(self) -> dict[str, list]:
        """Give what `from_json` reads: lists of pairs, since JSON would turn keys into strings."""
        return {"quiet": list(self.quiet.items()), "shifted": list(self.shifted.items())}


def from_json(found: Mapping[str, list]) -> Answer:
    return Answer(
        {hour: tuple(named) for hour, named in found["quiet"]},
        {size: tuple(hours) for size, hours in found["shifted"]},
    )


def episodes(hours: Iterable[int]) -> int:
    """Count the runs of alarms with no gap longer than `CLOSES_AFTER`."""
    last, count = -inf, 0
    for hour in sorted(hours):
        count += hour - last > CLOSES_AFTER
        last = hour
    return count


def delay(answer: Answer, size: float, feature: int, onset: int) -> float:
    """Give the hours from the shift to the first alarm that it caused.

    An alarm that the same check raises without the shift as well is a false one: were it counted, a
    method that never stops would be the quickest.

    Returns:
        Infinity when the shift was not found.
    """
    false = {hour for hour, named in answer.quiet.items() if feature in named}
    return min(
        (hour - onset for hour in answer.shifted[size] if hour not in false and hour > onset),
        default=inf,
    )
