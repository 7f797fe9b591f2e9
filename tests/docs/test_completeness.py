"""The docs name every part that ships."""

from pathlib import Path

import pytest

from mlwatch import collectors, detectors, notifiers, stores

PARTS = (Path(__file__).parents[2] / "docs" / "parts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        name
        for family in (collectors, detectors, notifiers, stores)
        for name in family.__all__
        if name[0].isupper() or name == "any_of"
    ],
)
def test_part_has_a_heading(name):
    """Every part of every family has a heading of its own in docs/parts.md."""
    assert f"### {name}\n" in PARTS
