"""The table of what is shown where, in the docstring of this folder."""

import re
from pathlib import Path

import pytest
from tests import torture

HERE = Path(__file__).parent
ROWS = re.findall(r"^        (\S+\.py)::(test_\w+)$", torture.__doc__, re.MULTILINE)


@pytest.mark.parametrize(("file", "name"), ROWS)
def test_each_test_in_the_table_is_there(file, name):
    """A row names a test that stands in the file it names."""
    folder = HERE if "/" not in file else HERE.parents[1]
    assert f"def {name}(" in (folder / file).read_text()


def test_each_torture_is_in_the_table():
    """No test of this folder is without a row, but for those of the table itself."""
    listed = {name for _, name in ROWS}
    files = sorted(set(HERE.glob("test_*.py")) - {Path(__file__)})
    there = [name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())]
    assert [name for name in there if name not in listed] == []
