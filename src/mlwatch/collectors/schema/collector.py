"""Every value against the rules of its feature, as it is ingested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlwatch import intervals
from mlwatch._guard import attempt, salvage, type_name
from mlwatch.collectors.schema.rules import Rule
from mlwatch.errors import ConfigurationError
from mlwatch.protocols import part_name
from mlwatch.records import Fault, Metric, Prediction, Tally, join_key
from mlwatch.redaction.values import is_absent
from mlwatch.row_sample import RowSample, row_sample
from mlwatch.window import Window

_MOST_EXAMPLES = 5
_LONGEST_EXAMPLE = 40
_LONGEST_ID = 100

Rules = Mapping[str, Rule | Sequence[Rule]]


@dataclass(frozen=True)
class Schema:
    """Count the values that break rules of yours, with up to five examples a rule.

    Every value is checked once, when it is ingested, and as it is recorded: after redaction. A
    value that is missing breaks no rule but `NotMissing()`. A function that raises has said
    nothing of that value: it is counted apart, and is a fault.

    Args:
        rules: By feature a rule or several: `Range`, `OneOf`, `Pattern`, `NotMissing`, or a
            function of a value that returns True where it is as it has to be.
        sample: Among so many of the newest rows examples are looked for; 0: none are shown.
        name: What the collector is called.

    Raises:
        ConfigurationError: A rule is no function, or two of a feature have one name.
    """

    rules: Rules
    sample: int = 1000
    name: str = "schema"

    def __post_init__(self) -> None:
        if not isinstance(self.rules, Mapping) or not self.rules:
            raise ConfigurationError(
                f"Schema({self.rules!r}): must be a mapping such as "
                '{"tenure": Range(0, 120), "contract": OneOf("monthly", "yearly")}'
            )
        if not isinstance(self.sample, int) or self.sample < 0:
            raise ConfigurationError(f"Schema(sample={self.sample!r}): must be a number from 0 up")
        for feature, given in self.rules.items():
            _check(feature, given)

    @property
    def named(self) -> Iterator[tuple[str, str, Rule]]:
        """Each rule with its feature and its name."""
        for feature, given in self.rules.items():
            yield from ((feature, part_name(rule), rule) for rule in _several(given))

    def tally(self, rows: Sequence[Prediction]) -> dict[str, int]:
        """Count the values that each rule was asked of, those that break it, and the others."""
        counts: dict[str, int] = {}
        for feature, name, rule in self.named:
            values = [row.features.get(feature) for row in rows]
            asked = values if _takes_missing(rule) else [it for it in values if not is_absent(it)]
            answers = [kept for kept, _ in _answers(rule, asked)]
            told = len(answers) - answers.count(None)
            numbers = (told, answers.count(False), answers.count(None), len(values) - len(asked))
            for what, n in zip(_COUNTS, numbers, strict=True):
                if n:
                    counts[join_key(feature, name, what)] = n
        return counts

    def collect(self, window: Window) -> Iterator[Metric | Fault]:
        """Return of each rule how many values break it, and which share."""
        tally = window.tally(self.name)
        broken = any(n for cell, n in tally.items() if cell.endswith(("/violated", "/failed")))
        sample = row_sample(window, self.sample if broken else 0)
        failed = []
        for feature, name, rule in self.named:
            found = {what: tally.get(join_key(feature, name, what), 0) for what in _COUNTS}
            yield from _metrics(found, {"feature": feature, "rule": name}, rule, sample)
            if found["failed"]:
                error = _raised(rule, feature, sample)
                asked = found["failed"] + found["checked"]
                count = f"{found['failed']:,} of {asked:,} values"
                failed.append(f"{name} of {feature!r} raised for {count}{error}")
        if failed:
            yield Fault(f"collector {self.name}", "; ".join(failed))


_COUNTS = ("checked", "violated", "failed", "missing")


def _metrics(
    found: Tally, labels: Mapping[str, str], rule: Rule, sample: RowSample
) -> Iterator[Metric]:
    n, broken = found["checked"], found["violated"]
    why = _examples(rule, labels["feature"], sample) if broken else ""
    yield Metric("schema_violations", float(broken), n=n, labels=labels, why=why)
    notes = {"missing": "missing values are not asked about", "failed": "could not be told"}
    apart = "; ".join(f"{found[what]:,} {text}" for what, text in notes.items() if found[what])
    if not n:
        why = "; ".join(filter(None, ("not enough data: no values", apart)))
        yield Metric("schema_violation_share", None, labels=labels, why=why)
        return
    low, high = intervals.share(broken, n)
    yield Metric("schema_violation_share", broken / n, low, high, n, labels, why=apart)


def _examples(rule: Rule, feature: str, sample: RowSample) -> str:
    """Return some values that break a rule, as they are recorded; of missing ones the ids."""
    if not sample.rows:
        return "no examples: the rows are not kept, or not to be read"
    texts: dict[str, None] = {}
    for row in sample.rows:
        value = row.features.get(feature)
        is_asked = _takes_missing(rule) or not is_absent(value)
        if is_asked and next(_answers(rule, [value]))[0] is False:
            texts[_shown(value, row)] = None
        if len(texts) == _MOST_EXAMPLES:
            break
    return f"{', '.join(texts) or 'no example'} ({sample.words})"


def _shown(value: Any, row: Prediction) -> str:
    if is_absent(value):
        return f"missing in request {_cut(repr(row.request_id), _LONGEST_ID)}"
    return _cut(salvage(repr, value, f"<{type_name(value)}>"), _LONGEST_EXAMPLE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _raised(rule: Rule, feature: str, sample: RowSample) -> str:
    """Return what a rule raises for a row of the sample."""
    values = (row.features.get(feature) for row in sample.rows)
    asked = [value for value in values if _takes_missing(rule) or not is_absent(value)]
    faults = (fault.error for _, fault in _answers(rule, asked) if fault)
    error = next(faults, "")
    return f", such as {error}" if error else ""


def _answers(rule: Rule, values: Sequence[Any]) -> Iterator[tuple[bool | None, Fault | None]]:
    """Give for each value whether it is as it has to be; None where the rule raised."""
    found, fault = attempt("rule", _ask, rule, values)
    if found is not None:
        yield from ((answer, fault) for answer in found)
        return
    for value in values:
        answer, fault = attempt("rule", _ask, rule, (value,))
        yield (answer[0] if answer else None), fault


def _ask(rule: Rule, values: Sequence[Any]) -> list[bool]:
    return [bool(rule(value)) for value in values]


def _takes_missing(rule: Rule) -> bool:
    return bool(getattr(rule, "takes_missing", False))


def _several(given: Rule | Sequence[Rule]) -> Sequence[Rule]:
    return [given] if callable(given) else given


def _check(feature: object, given: Any) -> None:
    if not isinstance(feature, str):
        raise ConfigurationError(f"Schema: {feature!r} is no name of a feature; names are texts")
    rules = _several(given)
    if not isinstance(rules, list | tuple) or not rules:
        raise ConfigurationError(
            f"Schema({{{feature!r}: {given!r}}}): give a rule or a list of rules, such as "
            "Range(0, 120) or a function of the value"
        )
    names = []
    for rule in rules:
        if not callable(rule) or isinstance(rule, type):
            hint = f"; write {rule.__name__}(...)" if isinstance(rule, type) else ""
            raise ConfigurationError(
                f"Schema({{{feature!r}: {rule!r}}}): is no function of a value{hint}"
            )
        names.append(part_name(rule))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(
            f"Schema({{{feature!r}: ...}}): two rules are called {twice!r}; give one another name, "
            "a lambda by writing it as a function"
        )
