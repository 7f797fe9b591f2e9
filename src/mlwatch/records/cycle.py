"""The report of one cycle."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlwatch.records.metric_table import is_of_other_version, span_apart
from mlwatch.records.results import IMMATURE, Alert, DriftResult, Fault, Metric
from mlwatch.records.table import render

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What one cycle found: metrics, drift results, alerts, and faults.

    `alerts` are those that were raised or resolved in this cycle, `firing` all that fire after it,
    `fixed` the rules with a threshold of the user's own, which lie outside the alarm budget.
    `revised` are figures of past spans that were written anew, as labels of them have come.
    `print(report)` shows it as a table; `report["accuracy"]` is one metric of the monitor's own
    model version. It is that of the window `[since, time)` or, where its labels are still to come
    and the figure of a mature span is known, of that span: `metric.since` and `.time` say which.
    """

    model: str
    model_version: str
    since: datetime
    time: datetime
    metrics: tuple[Metric, ...] = ()
    drift: tuple[DriftResult, ...] = ()
    alerts: tuple[Alert, ...] = ()
    firing: tuple[Alert, ...] = ()
    faults: tuple[Fault, ...] = ()
    fixed: tuple[str, ...] = ()
    revised: tuple[Metric, ...] = ()

    def __getitem__(self, name: str) -> Metric:
        """Return the metric `name` of this monitor's model version.

        Raises:
            KeyError: There is no such metric in this cycle; the message names near matches.
        """
        found = self.find(name)
        if found:
            own = [metric for metric in found if metric.model_version == self.model_version]
            return _settled(own or found)
        names = sorted({metric.name for metric in self.metrics})
        near = difflib.get_close_matches(name, names, n=3) or names
        raise KeyError(f"no metric {name!r} in this cycle; there is {', '.join(near) or 'none'}")

    def find(self, name: str, **labels: str) -> tuple[Metric, ...]:
        """Return every metric called `name` that has these labels."""
        return tuple(
            metric
            for metric in self.metrics
            if metric.name == name and labels.items() <= metric.labels.items()
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the metrics as a DataFrame, one row each."""
        import pandas as pd

        columns = (
            *("name", "value", "low", "high", "reference", "n", "labels", "verdict", "why"),
            *("model_version", "since", "time"),
        )
        rows = [[getattr(metric, column) for column in columns] for metric in self.metrics]
        return pd.DataFrame(rows, columns=list(columns))

    def to_row(self) -> dict[str, Any]:
        """Return the cycle as one flat row: `name`, `name_low`, `name_high`; labels in brackets.

        What is about an earlier span than the cycle's has the label `span=earlier`.
        """
        row: dict[str, Any] = {
            "model": self.model,
            "model_version": self.model_version,
            "since": self.since,
            "time": self.time,
        }
        own = {it.name for it in self.metrics if it.model_version == self.model_version}
        for metric in self.metrics:
            row[(name := self._column(metric, own))] = metric.value
            if metric.low is not None or metric.high is not None:
                row[f"{name}_low"], row[f"{name}_high"] = metric.low, metric.high
        return row | {"alerts": len(self.alerts), "faults": len(self.faults)}

    def _column(self, metric: Metric, own: Collection[str]) -> str:
        labels = [f"{name}={metric.labels[name]}" for name in sorted(metric.labels)]
        if is_of_other_version(metric, self.model_version, own):
            labels.append(f"model_version={metric.model_version}")
        if span_apart(metric, self.since, self.time):
            labels.append("span=earlier")
        return f"{metric.name}[{','.join(labels)}]" if labels else metric.name

    def __str__(self) -> str:
        return render(
            model=self.model,
            model_version=self.model_version,
            since=self.since,
            time=self.time,
            metrics=self.metrics,
            drift=self.drift,
            alerts=self.alerts,
            firing=self.firing,
            faults=self.faults,
            fixed=self.fixed,
            revised=self.revised,
        )


def _settled(found: Sequence[Metric]) -> Metric:
    """Return the first, or the same figure of a span whose labels have come where it has one."""
    first = found[0]
    if first.verdict != IMMATURE:
        return first
    others = (it for it in found if it.labels == first.labels and it.verdict != IMMATURE)
    return next((it for it in others if it.value is not None), first)
