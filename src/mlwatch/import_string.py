"""A monitor by the place where the service has it: "service.monitoring:monitor"."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from mlwatch.errors import ConfigurationError
from mlwatch.monitor import Monitor


def find_monitor(text: str) -> Monitor:
    """Return the monitor at "module:attribute", or what a function without arguments there gives.

    Raises:
        ConfigurationError: There is no such module, no such attribute, or it is no monitor.
    """
    name, _, path = text.partition(":")
    if not path or not all(map(str.isidentifier, name.split("."))):
        raise ConfigurationError(
            f"{text!r} names no monitor: write module:attribute, as in service.monitoring:monitor"
        )
    found = _attribute(_module(name), path, text)
    if not isinstance(found, Monitor) and callable(found):
        found = _made(found, text)
    if not isinstance(found, Monitor):
        raise ConfigurationError(
            f"{text!r} is a {type(found).__name__}: name a Monitor, or a function without "
            "arguments that returns one"
        )
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Another one is missing inside the service: its own traceback says where.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(
            f"no module {error.name!r}{_near(error.name, _siblings(error.name))}; it has to be "
            "importable from the current directory or from PYTHONPATH"
        ) from None


def _attribute(module: ModuleType, path: str, text: str) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ConfigurationError(
                f"no attribute {name!r} in {text!r}{_near(name, dir(found))}"
            ) from None
    return found


def _made(factory: Any, text: str) -> Any:
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"{text!r} cannot be called without arguments ({error}): name a Monitor, or a function "
            "without arguments that returns one"
        ) from None
    return factory()


def _siblings(name: str) -> list[str]:
    """Return the modules that are where this one is looked for."""
    package, dot, _ = name.rpartition(".")
    paths = getattr(sys.modules.get(package), "__path__", ()) if package else None
    return [package + dot + found.name for found in pkgutil.iter_modules(paths)]


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (there is {near[0]!r})" if near else ""
