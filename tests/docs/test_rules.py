"""The page for the person on call speaks of rules by the names under which they alert."""

import re
from pathlib import Path

from mlwatch.alerting import LIMITS

PAGE = (Path(__file__).parents[2] / "docs" / "what-happens-when.md").read_text(encoding="utf-8")


def test_each_rule_in_italics_is_there_and_none_is_left_out():
    """What stands in italics is a name in LIMITS, and every name in LIMITS stands there."""
    prose = re.sub(r"`[^`]*`", "", PAGE)  # where a * is a pattern
    named = set(re.findall(r"\*([^*]+)\*", prose)) - {"italics"}
    assert named == {limit.name for limit in LIMITS}
