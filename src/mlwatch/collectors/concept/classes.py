"""Outcomes that are classes: how often each came, and how often given what was predicted."""

from __future__ import annotations

from dataclasses import replace

from mlwatch.detectors import GTestDetector
from mlwatch.detectors.evidence import total_variation
from mlwatch.detectors.relation import Relation, relate_classes, relate_scores, said_table
from mlwatch.profile import CategoricalGrid, Distribution
from mlwatch.records import DriftResult, Tallies
from mlwatch.reference import Reference

OUTCOMES, RELATION = "outcomes", "relation"
"""The names under which results are kept beside those of the features."""

_WIDE = 0.10

POOL = 20.0
"""The smallest expected count, for levels below 1e-4."""


def compare_outcomes(reference: Reference, tallies: Tallies) -> DriftResult:
    """Return whether the classes come as often as on the reference.

    G on the counts of the classes; of two of which one is rare, Fisher's exact test (1922).
    """
    scoring = reference.scoring
    names = [str(name) for name in scoring.classes]
    grid = scoring.labels_grid(reference.tallies.get("outcome", {}))
    past, now = (_distribution(grid, names, side) for side in (reference.tallies, tallies))
    result = GTestDetector(pool=POOL).detect(past, now)
    assert result is not None
    if len(names) != 2 or not past.n or not now.n:
        return replace(result, feature=OUTCOMES)
    table = past.counts[:2], now.counts[:2]
    shares = [side[1] / side.sum() for side in table]
    why = f"{shares[1]:.1%} of the outcomes are {names[1]}, {shares[0]:.1%} on the reference"
    if result.p_value is not None:
        return replace(result, why=why)
    from scipy.stats import fisher_exact

    effect, effect_low = total_variation(table[1], table[0])
    return replace(
        result,
        detector="fisher",
        effect=effect,
        effect_low=effect_low,
        p_value=float(fisher_exact(table).pvalue),
        caveats=(),
        why=why,
    )


def compare_relation(reference: Reference, tallies: Tallies) -> DriftResult:
    """Return whether outcomes come as on the reference where the same was predicted.

    At the same score where a reference has scores of a binary task, else at the same class said.
    """
    scoring = reference.scoring
    if any(reference.tallies.get(f"given/{name}") for name in scoring.classes):
        detector = "given_score"
        found = relate_scores(scoring, reference.tallies, tallies, POOL)
    else:
        detector = "given_label"
        past, now = (said_table(scoring, side) for side in (reference.tallies, tallies))
        found = relate_classes(past, now, POOL)
    known = sum(reference.tallies["outcome"].values())
    blank = DriftResult(RELATION, detector, None, None, None, None, 0, known)
    if found is None:
        lacking = "not enough data: no outcomes of predictions like those of the reference"
        return replace(blank, why=lacking)
    return replace(
        blank,
        statistic=found.g,
        effect=found.effect,
        effect_low=found.effect_low,
        p_value=found.p_value,
        n=found.n,
        n_reference=found.n_reference,
        caveats=(f"what is certain lies {found.slack:.2f} below the effect",)
        if found.slack > _WIDE
        else (),
        why=_told(found, detector),
    )


def _distribution(grid: CategoricalGrid, names: list[str], tallies: Tallies) -> Distribution:
    known = tallies.get("outcome", {})
    tally = {str(cell): known.get(name, 0) for cell, name in enumerate(names)}
    return Distribution.from_tally(OUTCOMES, grid, tally)


def _told(found: Relation, detector: str) -> str:
    same = "the same score" if detector == "given_score" else "the same prediction"
    why = f"at {same} {found.effect:.1%} of the outcomes differ from the reference"
    if detector == "given_score":
        why += f", the outcome rate by {found.net:+.1%} on balance"
    return why
