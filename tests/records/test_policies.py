"""The options of a monitor: what cannot be right is refused when it is said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlwatch.errors import ConfigurationError
from mlwatch.records import AlertPolicy, CaptureOptions, DriftPolicy, Retention

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (Retention, {"rows": timedelta(0)}),
        (Retention, {"pending": -HOUR}),
        (Retention, {"panes": 7}),
        (Retention, {"results": None}),
        (CaptureOptions, {"max_bytes": 0}),
        (CaptureOptions, {"max_record_bytes": -1}),
        (CaptureOptions, {"max_spool_bytes": "1 GB"}),
        (CaptureOptions, {"flush_interval": timedelta(0)}),
        (CaptureOptions, {"flush_interval": 0.5}),
        (CaptureOptions, {"durability": "both"}),
        (CaptureOptions, {"retention": 7}),
        (DriftPolicy, {"margin": -0.1}),
        (DriftPolicy, {"margin": 1.0}),
        (DriftPolicy, {"margin": float("nan")}),
        (DriftPolicy, {"margin": "10%"}),
        (DriftPolicy, {"min_visible": 0}),
        (DriftPolicy, {"min_visible": 20}),
        (DriftPolicy, {"min_rows": 0}),
        (DriftPolicy, {"min_rows": 50.5}),
        (AlertPolicy, {"cooldown": -HOUR}),
        (AlertPolicy, {"cooldown": 300}),
        (AlertPolicy, {"give_up_after": timedelta(0)}),
        (AlertPolicy, {"stale_after": timedelta(0)}),
    ],
)
def test_what_cannot_be_right_is_named(options, arguments):
    """A wrong option is refused, naming the group and the option."""
    (name,) = arguments
    with pytest.raises(ConfigurationError, match=f"{options.__name__}\\({name}="):
        options(**arguments)


@pytest.mark.parametrize(
    "options",
    [
        Retention(),
        CaptureOptions(),
        DriftPolicy(),
        AlertPolicy(),
        Retention(rows=HOUR),
        CaptureOptions(durability="disk", spool="memory"),
        DriftPolicy(margin=0, min_rows=1, min_visible=0.01),
        AlertPolicy(cooldown=timedelta(0)),
    ],
    ids=repr,
)
def test_what_can_be_right_is_frozen(options):
    """Options that can be right are taken, and cannot be changed behind the monitor's back."""
    with pytest.raises(AttributeError):
        setattr(options, next(iter(type(options).__dataclass_fields__)), 1)
