"""Windows of scores without the rows, and what is estimated of them."""

from __future__ import annotations

from tests.traffic import HOUR, START

from mlwatch.collectors import EstimatedPerformanceCollector
from mlwatch.profile import Distribution
from mlwatch.records import Pane, join_key
from mlwatch.window import Window


def counted(reference, scores, outcomes=None, labelled=0):
    """Return a window of predictions, of which the first are labelled."""
    scoring = reference.scoring
    said = scores >= scoring.threshold
    grid = scoring.grid
    tallies = {
        "score": Distribution.count("score", grid, scores).to_tally(),
        "label": {"0": int((~said).sum()), "1": int(said.sum())},
        "rows": {"recorded": len(scores), "labelled": labelled},
    }
    if labelled:
        known, true, said = scores[:labelled], outcomes[:labelled], said[:labelled].astype(int)
        tallies["confusion"] = {
            join_key(a, b): int(((said == a) & (true == b)).sum()) for a in (0, 1) for b in (0, 1)
        }
        for name in (0, 1):
            given = Distribution.count("score", grid, known[true == name])
            tallies[f"given/{name}"] = given.to_tally()
    pane = Pane(model="m", time=START, span=HOUR, tallies=tallies)
    return Window("m", "1", START, START + HOUR, (pane,), reference)


def measured(view):
    """Return the metrics by name, and the differences by the name of their figure."""
    found = list(EstimatedPerformanceCollector().collect(view))
    return {it.name if not it.labels else it.labels["metric"]: it for it in found}
