"""Windows of past traffic, read from a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from mlwatch.ingest import FindReference
from mlwatch.protocols import MetricStore
from mlwatch.records import Pane, Table
from mlwatch.window import Rows, Window


def read_windows(
    store: MetricStore,
    *,
    model: str,
    model_version: str,
    references: FindReference,
    since: datetime,
    until: datetime,
) -> list[Window]:
    """Return the window of `model_version` and, after it, of every other version with traffic.

    Panes counted under another reference than the version's present one are left out.

    Raises:
        StoreError: The store cannot be read.
    """
    panes: dict[str, list[Pane]] = {model_version: []}
    found: Iterable[Pane] = store.read(Table.panes, since=since, until=until, model=model)
    for pane in found:
        reference = references(pane.model_version)
        fingerprint = "" if reference is None else reference.fingerprint
        if pane.segment == "" and pane.reference == fingerprint:
            panes.setdefault(pane.model_version, []).append(pane)
    return [
        Window(
            model,
            version,
            since,
            until,
            tuple(kept),
            references(version),
            _rows(store, model, version),
        )
        for version, kept in panes.items()
    ]


def _rows(store: MetricStore, model: str, version: str) -> Callable[[datetime, datetime], Rows]:
    def rows(since: datetime, until: datetime) -> Rows:
        predictions = store.read(
            Table.predictions, since=since, until=until, model=model, model_version=version
        )
        return predictions, store.read(Table.outcomes, model=model, model_version=version)

    return rows
