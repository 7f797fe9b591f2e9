"""Keys: parts joined so that no part can be mistaken for two."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mlwatch.records import join_key, split_key
from mlwatch.records.keys import file_name

PARTS = st.lists(st.text(max_size=8) | st.text("/%2F5", max_size=8), min_size=1, max_size=5).map(
    tuple
)


@given(PARTS)
def test_a_key_gives_its_parts_back(parts):
    """Splitting a key gives the parts that were joined, whatever they hold."""
    assert split_key(join_key(*parts)) == parts


@given(PARTS, PARTS)
def test_two_keys_are_equal_only_for_equal_parts(a, b):
    """No two different tuples of parts have one key."""
    assert (join_key(*a) == join_key(*b)) == (a == b)


@given(st.text(max_size=80), st.text(max_size=80))
def test_file_names_are_plain_and_no_two_texts_share_one(a, b):
    """A file name has only letters, digits, "_" and "-", and belongs to one text."""
    assert re.fullmatch(r"[a-z0-9_-]*", file_name(a))
    assert len(file_name(a)) <= 60
    assert (file_name(a) == file_name(b)) == (a == b)
