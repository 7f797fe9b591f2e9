"""The tables: a row for each method, a column for each model of traffic."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, isinf
from statistics import median

from alarms.answer import Answer, delay, episodes
from alarms.scenario import Scenario

# The answers of each method, by model of traffic, in the order of that model's runs.
Answers = Mapping[str, Mapping[str, Sequence[Answer]]]
Runs = Mapping[str, Sequence[Scenario]]


def show_alarms(answers: Answers, runs: Runs, weeks: int) -> None:
    def cell(method: str, model: str) -> str:
        found = answers[method][model]
        checks = sum(len(answer.quiet) for answer in found) / (weeks * len(found))
        opened = sum(episodes(answer.quiet) for answer in found) / (weeks * len(found))
        return f"{checks:.2f} | {opened:.2f}"

    show(answers, runs, cell)


def show_delays(answers: Answers, runs: Runs, size: float) -> None:
    def cell(method: str, model: str) -> str:
        found = answers[method][model]
        if size not in found[0].shifted:
            return "-"
        return hours(
            [
                delay(answer, size, run.feature, run.onset)
                for answer, run in zip(found, runs[model], strict=True)
            ]
        )

    show(answers, runs, cell)


def hours(delays: Sequence[float]) -> str:
    """Give the median delay, and how many of the shifts were missed."""
    missed = sum(map(isinf, delays)) / len(delays)
    middle = median(delays)
    if middle == inf:
        return "missed"
    return f"{middle:.0f} h" + (f" ({missed:.0%} missed)" if missed else "")


def show(answers: Answers, runs: Runs, cell: Callable[[str, str], str]) -> None:
    rows = [["", *runs]]
    rows += [[method, *(cell(method, model) for model in runs)] for method in answers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        padded = (f"{text:>{width}}" for text, width in zip(cells, widths[1:], strict=True))
        print(f"{name:<{widths[0]}}  " + "  ".join(padded))
