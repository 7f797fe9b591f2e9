"""Random payloads from a seeded source: quick enough for a million of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pandas as pd


class Raising:
    """An object that raises whatever is asked of it; which error depends on who asks first."""

    def _raise(self, *_: Any) -> Any:
        raise (ValueError, SystemExit, KeyboardInterrupt, RecursionError)[id(self) // 16 % 4]("no")

    __repr__ = __str__ = __eq__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = _raise
    __index__ = __bytes__ = __getitem__ = __contains__ = __array__ = _raise
    __hash__ = object.__hash__


class RaisingDict(dict[Any, Any]):
    """A dict that raises when it is asked for what it holds."""

    items = keys = values = __iter__ = __len__ = Raising._raise  # type: ignore[assignment]


class RaisingText(str):
    """A text that raises when it is asked for its own."""

    __slots__ = ()
    __str__ = __repr__ = encode = __len__ = Raising._raise  # type: ignore[assignment]


def _cycle(source: Random) -> list[Any]:
    value: list[Any] = [source.random()]
    value.append({"me": value})
    return value


def _deep(source: Random) -> Any:
    value: Any = 1
    for _ in range(source.choice((5, 50, 500, 3000))):
        value = [value] if source.random() < 0.5 else {"deeper": value}
    return value


def _text(source: Random) -> str:
    return "".join(map(chr, source.choices(range(0x11_0000), k=source.randrange(20))))


_SCALARS: tuple[Callable[[Random], Any], ...] = (
    lambda source: source.random(),
    lambda source: source.gauss(0, 1e200),
    lambda source: source.choice((float("nan"), float("inf"), -float("inf"), -0.0, 5e-324)),
    lambda source: source.getrandbits(source.randrange(1, 130)) - 2**64,
    lambda source: source.choice((None, True, False, ..., NotImplemented, int, len, print)),
    lambda source: source.choice(("", "a", "$nan", "\0", "\ud800", "\U0010ffff")),
    _text,
    lambda source: source.randbytes(source.randrange(30)),
    lambda source: bytearray(source.randbytes(3)),
    lambda source: datetime(source.randrange(1, 9999), 1, 1, tzinfo=source.choice((None, UTC))),
    lambda source: timedelta(seconds=source.gauss(0, 1e6)),
    lambda source: Decimal(source.choice(("1.5", "NaN", "sNaN", "-Infinity", "1E+999999"))),
    lambda source: uuid.UUID(int=source.getrandbits(128)),
    lambda source: complex(source.random(), 1),
    lambda source: np.float32(source.random()),
    lambda source: np.int64(source.getrandbits(62)),
    lambda source: np.datetime64(source.getrandbits(40) - 2**39, source.choice("smD")),
    lambda source: np.zeros(source.randrange(5), dtype=source.choice(("f4", "i8", "M8[s]", "O"))),
    lambda source: source.choice((pd.NA, pd.NaT, pd.Timestamp(0), pd.Series([1, 2]))),
    lambda source: (number for number in range(3)),
    lambda source: frozenset(source.choices(range(9), k=3)),
    lambda source: memoryview(b"view"),
    lambda source: Raising(),
    lambda source: RaisingText("x"),
    lambda source: RaisingDict(a=source.random()),
)


def value(source: Random, depth: int) -> Any:
    """Return any value, nested up to `depth`."""
    chance = source.random()
    if chance < 0.0005:
        return source.choice((_cycle, _deep))(source)
    if chance < 0.0006:
        return "x" * 2_000_000
    if depth and chance < 0.1:
        return [value(source, depth - 1) for _ in range(source.randrange(5))]
    if depth and chance < 0.2:
        return payload(source, depth - 1)
    return source.choice(_SCALARS)(source)


def _key(source: Random) -> Any:
    if source.random() < 0.9:
        return f"f{source.randrange(20)}"
    return source.choice((None, 1, 1.5, (1, 2), b"key", "\ud800", _text(source), Raising()))


def payload(source: Random, depth: int = 3) -> Any:
    """Return what a service might hand over as features: mostly a dict of values."""
    if source.random() < 0.05:
        return value(source, depth)
    return {_key(source): value(source, depth) for _ in range(source.randrange(8))}


def call(watch: Any, source: Random) -> tuple[list[Any], int]:
    """Hand a random payload over by a random verb; return its ids, and how many records it is."""
    (verb,) = source.choices(*zip(*_VERBS, strict=True))
    return verb(watch, source)


def _any(source: Random, *usual: Any) -> Any:
    """Return mostly one of what is usual, now and then any value."""
    return source.choice(usual) if source.random() < 0.9 else value(source, 1)


def _own_id(source: Random) -> Any:
    """Return mostly none, now and then one of a few that come again and again."""
    return _any(source, *[None] * 10, f"own-{source.randrange(1000)}")


def _version(source: Random) -> Any:
    return None if source.random() < 0.99 else value(source, 1)  # each has panes of its own


def _prediction(watch: Any, source: Random) -> tuple[list[Any], int]:
    outcome = _any(source, None, 1, "yes")
    known_as = watch.record_prediction(
        payload(source),
        payload(source, 1),
        probability=_any(source, None, 0.5, {"a": 0.1}, [0.2, 0.8]),
        request_id=_own_id(source),
        model_version=_version(source),
        latency_ms=_any(source, None, 1.5, -1, float("nan")),
        outcome=outcome,
        error=_any(source, None, "TimeoutError"),
        segment=_any(source, None, "north"),
        timestamp=_any(source, None, None, datetime(2024, 1, 1, tzinfo=UTC)),
    )
    return [known_as], 1 + (outcome is not None)


def _plain(watch: Any, source: Random) -> tuple[list[Any], int]:
    return [watch.record_prediction(payload(source), payload(source, 1))], 1


def _outcome(watch: Any, source: Random) -> tuple[list[Any], int]:
    watch.record_outcome(_any(source, f"own-{source.randrange(1000)}"), value(source, 1))
    return [], 1


def _batch(watch: Any, source: Random) -> tuple[list[Any], int]:
    """Columns, now and then of unequal lengths, or what is none and counts as one record."""
    rows = source.randrange(1, 6)
    lengths = [rows if source.random() < 0.9 else source.randrange(6) for _ in range(4)]
    columns = [_column(source, length) for length in lengths]
    frame: Any = {_key(source): columns[0], "other": columns[1]}
    own = None if source.random() < 0.8 else [_own_id(source) for _ in range(lengths[3])]
    used = lengths[:3] if own is None else lengths
    if source.random() < 0.1:
        frame = source.choice((None, 5, "text", Raising(), RaisingDict(a=[1]), {"a": "text"}))
        used = [1]
    ids = watch.record_batch(
        frame, columns[2], request_ids=own, model_version=_version(source), timestamp=None
    )
    return list(ids), max(used)


def _column(source: Random, rows: int) -> Any:
    if source.random() < 0.3:
        return np.arange(rows).astype(source.choice(("f4", "i8", "M8[s]", "O")))
    return [value(source, 2) for _ in range(rows)]


def _request(watch: Any, source: Random) -> tuple[list[Any], int]:
    watch.record_request(
        _any(source, "/predict"),
        _any(source, 200, 404, 500),
        _any(source, None, 1.5),
        timestamp=_any(source, None),
    )
    return [], 1


def _observe(watch: Any, source: Random) -> tuple[list[Any], int]:
    fails = source.random() < 0.2
    with suppress(ArithmeticError), watch.observe(payload(source), segment="south") as seen:
        seen.prediction = payload(source, 1)
        seen.probability = _any(source, None)
        seen.outcome = _any(source, None, 1)
        if fails:
            raise ArithmeticError
    return [seen.request_id], 1 + (seen.outcome is not None)


def _watch(watch: Any, source: Random) -> tuple[list[Any], int]:
    """Call a watched function; nobody hears its id."""
    served = payload(source, 1)
    predict = watch.watch(lambda features: served)
    assert predict(payload(source)) is served
    return [], 1


_VERBS = (
    (_plain, 8),
    (_prediction, 8),
    (_outcome, 4),
    (_batch, 2),
    (_request, 2),
    (_observe, 2),
    (_watch, 1),
)
"""What takes a payload, and how often."""
