"""How long the tortures are: short in `make test`, long in `make torture`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="torture at full length, for minutes")


def pytest_collection_modifyitems(items):
    """Mark the tortures as slow: even their short form takes two minutes."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def scale(request):
    """Choose between a short and a long form: `scale(20, 60)`."""
    return lambda short, long: long if request.config.getoption("--long", False) else short


@pytest.fixture
def small_disk(tmp_path):
    """A disk of three megabytes, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def tracer():
    """The command that makes a program's system calls fail, where it is installed and allowed."""
    found = shutil.which("strace")
    works = (
        found
        and not subprocess.run(
            [found, "-o", os.devnull, "-e", "inject=write:error=EINTR:when=1000", "true"],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not works:
        pytest.skip("no strace that may trace")
    return found
