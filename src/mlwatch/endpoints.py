"""Requests of a service as counts that add: by endpoint, how they ended and how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlwatch import buckets
from mlwatch.records import Tallies, Tally, sum_tallies

OTHER = "other"
"""The endpoint of requests that matched no route, or came after `MOST` others."""

MOST = 50
"""So many endpoints are told apart: a path with an id in it must not make a metric an id."""

_COUNTS = "requests"
_LATENCY = "request_ms/"
_SUMS = "request_sum/"
_FAILED = "5xx"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What came to one endpoint.

    Args:
        name: The template of its route, or "other".
        requests: How many came.
        failed: How many of them the service failed to answer (status 5xx).
        latency: The milliseconds they took, as buckets of `mlwatch.buckets`.
        sums: The same as sums of `mlwatch.buckets`.
    """

    name: str
    requests: int = 0
    failed: int = 0
    latency: Tally = field(default_factory=dict)
    sums: Tally = field(default_factory=dict)


def named(endpoint: str, known: set[str]) -> str:
    """Return the endpoint, which joins `known`, or "other" where that is full."""
    if endpoint in known or len(known) < MOST:
        known.add(endpoint)
        return endpoint
    return OTHER


def tallies(endpoint: str, status: int, latency_ms: float | None) -> Tallies:
    """Return one request as tallies."""
    counted: dict[str, Tally] = {_COUNTS: {f"{endpoint} {_status_class(status)}": 1}}
    if latency_ms is not None:
        counted[_LATENCY + endpoint] = {buckets.bucket(latency_ms): 1}
        counted[_SUMS + endpoint] = buckets.sums([latency_ms])
    return counted


def holds_requests(name: str) -> bool:
    """Tell whether a tally of this name counts requests."""
    return name == _COUNTS or name.startswith((_LATENCY, _SUMS))


def read(counted: Tallies) -> list[Endpoint]:
    """Return the endpoints in tallies, the busiest first; what lies beyond `MOST` is "other"."""
    requests: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for cell, count in counted.get(_COUNTS, {}).items():
        name, _, ended = cell.rpartition(" ")
        requests[name] += count
        failed[name] += count if ended == _FAILED else 0
    busiest = [name for name, _ in requests.most_common()]
    kept = set([name for name in busiest if name != OTHER][:MOST])
    groups: dict[str, list[str]] = {}
    for name in busiest:
        groups.setdefault(name if name in kept else OTHER, []).append(name)
    return [
        Endpoint(
            name,
            sum(requests[one] for one in group),
            sum(failed[one] for one in group),
            _together(counted, _LATENCY, group),
            _together(counted, _SUMS, group),
        )
        for name, group in groups.items()
    ]


def _together(counted: Tallies, prefix: str, group: Sequence[str]) -> Tally:
    return sum_tallies({prefix: counted.get(prefix + one, {})} for one in group).get(prefix, {})


def _status_class(status: int) -> str:
    return f"{status // 100}xx" if 100 <= status < 600 else OTHER
