"""What is installed and what importing it does."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import mlwatch

ROOT = Path(__file__).parents[1]
HEAVY = {"pandas", "psutil", "scipy", "sklearn"}


def public_modules() -> list[str]:
    """Name mlwatch and every module in it without a leading underscore in its path."""
    found = pkgutil.walk_packages(mlwatch.__path__, prefix="mlwatch.")
    names = ["mlwatch", *(module.name for module in found)]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def reading_order(name: str) -> tuple[int, str]:
    """Constants first, then classes, then the rest: the order that `make format` gives."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the repository's import path and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", public_modules())
def test_exported_names_are_sorted_and_there(name):
    """`__all__` is sorted without repeats, and `from module import *` finds every name in it."""
    module = importlib.import_module(name)
    exported = list(module.__all__ if is_package(module) else getattr(module, "__all__", ()))

    assert exported == sorted(set(exported), key=reading_order)
    assert [name for name in exported if not hasattr(module, name)] == []


def test_import_loads_nothing_heavy(tmp_path):
    """A service that imports mlwatch pays for pandas, scipy, sklearn and psutil only when used."""
    script = "import json, sys, mlwatch; print(json.dumps(sorted(sys.modules)))"

    loaded = set(json.loads(run(sys.executable, "-c", script, cwd=tmp_path)))

    assert "mlwatch" in loaded
    assert loaded & HEAVY == set()


IMPORTS_IN_ORDER = """
import json, sys

begun = []
sys.addaudithook(lambda event, details: event == "import" and begun.append(details[0]))
import mlwatch
print(json.dumps(begun))
"""


def test_numpy_is_imported_from_the_top(tmp_path):
    """numpy comes before any module of ours: from deep within, it may take twice as long."""
    begun = json.loads(run(sys.executable, "-c", IMPORTS_IN_ORDER, cwd=tmp_path))

    first = next(name for name in begun if name.startswith("mlwatch."))
    assert begun.index("numpy") < begun.index(first)


# numpy and msgspec are loaded first: what they do is not ours to answer for.
IMPORT_UNDER_AUDIT = """
import json, logging, sys, threading
import msgspec, numpy

before = threading.active_count(), len(logging.root.handlers)
seen = []

def watch(event, details):
    if event == "open":
        if not str(details[0]).endswith((".py", ".pyc", ".so")):
            seen.append(f"opened {details[0]}")
    elif event.startswith(("socket.", "subprocess.", "_thread.", "os.putenv", "signal.")):
        seen.append(event)

sys.addaudithook(watch)
import mlwatch
after = threading.active_count(), len(logging.root.handlers)
print(json.dumps([seen, before == after]))
"""


def test_import_only_defines_names(tmp_path):
    """Importing mlwatch opens no file, socket or process and starts no thread or log handler."""
    seen, unchanged = json.loads(run(sys.executable, "-Bc", IMPORT_UNDER_AUDIT, cwd=tmp_path))

    assert seen == []
    assert unchanged


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
    run(sys.executable, *build, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(wheel):
    """The wheel has the types marker and the licence, and no tests, examples or data."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert "mlwatch/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"mlwatch", "mlwatch_monitor"}


@pytest.mark.slow
def test_quickstart_runs_from_the_wheel(wheel, tmp_path):
    """In an environment with nothing else, the wheel brings what the quickstart needs."""
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)

    where = run(python, "-Ic", "import mlwatch; print(mlwatch.__file__)", cwd=tmp_path)
    printed = run(python, "-I", ROOT / "examples" / "quickstart.py", cwd=tmp_path)

    assert Path(where.strip()).is_relative_to(tmp_path)
    assert printed
