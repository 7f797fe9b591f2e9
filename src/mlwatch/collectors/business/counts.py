"""The counts of a window, by the names that a formula knows them by."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from mlwatch.records import split_key
from mlwatch.window import Window

_OF_ROWS = {"predictions": "recorded", "errors": "errors", "labelled": "labelled"}
_OF_PAIRS = {
    "true_positives": (1, 1),
    "false_positives": (1, 0),
    "true_negatives": (0, 0),
    "false_negatives": (0, 1),
}
_OF_ANY_TASK = (*_OF_ROWS, "hours")
NAMES = (
    *_OF_ANY_TASK,
    "predicted_positives",
    "predicted_negatives",
    "actual_positives",
    "actual_negatives",
    *_OF_PAIRS,
)
"""What a formula may name; and `predicted["class"]`, `actual["class"]`."""


class Counts(Mapping[str, float]):
    """The counts of a window by name, each found when it is asked for.

    `predictions`, `errors` (recorded with one), `labelled` (whose outcome is known), `hours` (from
    the first traffic of the window to its end); of a binary task `predicted_positives`,
    `predicted_negatives`, `actual_positives` and `actual_negatives` (among the labelled),
    `true_positives`, `false_positives`, `true_negatives`, `false_negatives`. `predicted["gold"]`
    and `actual["gold"]`, spelt `counts.of_class("predicted", "gold")`, are those of one class.

    Args:
        window: The window.
    """

    def __init__(self, window: Window) -> None:
        self._window = window

    def __getitem__(self, name: str) -> float:
        """Return a count.

        Raises:
            KeyError: There is none of that name.
            LookupError: It is not defined for this task.
        """
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1) or NAMES
            raise KeyError(f"nothing counted is called {name!r}; there is {', '.join(near)}")
        if name in _OF_ROWS:
            return self._window.tally("rows").get(_OF_ROWS[name], 0)
        if name == "hours":
            return self._window.observed_seconds / 3600
        return self._of_binary(name)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES if self._is_binary() else _OF_ANY_TASK)

    def __len__(self) -> int:
        return len(NAMES if self._is_binary() else _OF_ANY_TASK)

    def of_class(self, kind: str, name: str) -> int:
        """Return how many predictions were of a class, "predicted" or "actual".

        Raises:
            LookupError: The task has no such class.
        """
        scoring = self._window.scoring
        known = [str(each) for each in scoring.classes]
        if scoring.task and name not in known:
            listed = ", ".join(map(repr, known)) or "none"
            raise LookupError(f"there is no class {name!r}; the classes are {listed}")
        return self._window.tally({"predicted": "label", "actual": "outcome"}[kind]).get(name, 0)

    def _of_binary(self, name: str) -> float:
        if not self._is_binary():
            raise LookupError(f"{name} needs a binary task")
        classes = [str(each) for each in self._window.scoring.classes]
        if name in _OF_PAIRS:
            label, outcome = _OF_PAIRS[name]
            wanted = (classes[label], classes[outcome])
            pairs = self._window.tally("confusion").items()
            return sum(count for pair, count in pairs if tuple(split_key(pair)) == wanted)
        kind, _, sign = name.partition("_")
        return self.of_class(kind, classes[sign == "positives"])

    def _is_binary(self) -> bool:
        window = self._window
        labels = window.tally("label")
        known = sum(labels.values()) >= window.tally("moments").get("n", 0)  # else they are numbers
        is_known = known or bool(window.scoring.task)
        return is_known and window.scoring.is_binary({*labels, *window.tally("outcome")})
