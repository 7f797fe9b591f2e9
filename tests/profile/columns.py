"""Columns of every kind and size, for the tests of what is counted."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timezone
from decimal import Decimal

from hypothesis import strategies as st

NUMBERS = (
    st.floats()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 3)
    | st.booleans()
    | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 5e-324, -0.0, 0.1, 1e300])
)
OTHERS = (
    st.none()
    | st.sampled_from(["", "a", "1", "inf", Decimal("0.1"), Decimal("NaN"), b"x", [1], {"a": 1}])
    | st.datetimes(timezones=st.sampled_from([None, UTC]))
)
MIXED = st.lists(NUMBERS | OTHERS, max_size=30)

ODD = [
    math.nan,
    math.inf,
    -math.inf,
    None,
    True,
    2**70,
    -(2**63),
    2**63,
    "text",
    "",
    b"bytes",
    [1, 2],
    {"a": 1},
    object(),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    1j,
    datetime(2024, 1, 1, tzinfo=timezone.max),
]
"""What a service may send by mistake."""
