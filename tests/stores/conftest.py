"""What the tests of stores share."""

from __future__ import annotations

from contextlib import ExitStack

import pytest


@pytest.fixture
def keep():
    """Return a function that gives its store back and closes it after the test."""
    with ExitStack() as stack:

        def keep(store):
            stack.callback(store.close)
            return store

        yield keep
