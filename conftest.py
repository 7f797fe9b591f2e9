"""The examples in README.md, docs/ and the docstrings of src/, run by ``make docs-test``."""

import os
from contextlib import ExitStack, chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import ClearNamespaceParser, PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

ROOT = Path(__file__).parent

outside = ExitStack()


def enter_empty_folder(_namespace: dict[str, Any]) -> None:
    """Let a document's examples write their files where they disturb nobody."""
    folder = outside.enter_context(TemporaryDirectory(prefix="mlwatch-docs-"))
    outside.enter_context(chdir(folder))


def leave_folder(_namespace: dict[str, Any]) -> None:
    """Go back and remove what the examples wrote."""
    outside.close()


documents = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser(), ClearNamespaceParser()],
    path=os.fspath(ROOT),
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_empty_folder,
    teardown=leave_folder,
)
docstrings = Sybil(
    parsers=[DocTestParser()],
    path=os.fspath(ROOT / "src"),
    patterns=["*.py"],
    setup=enter_empty_folder,
    teardown=leave_folder,
)

pytest_collect_file = (documents + docstrings).pytest()
