"""The one place where what a guest raises is caught, so that it never breaks its host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from mlwatch.records import Fault

T = TypeVar("T")

_LONGEST_TEXT = 500

GUEST_ERRORS: Final = (Exception,)
"""What `record_*` catches, in its own body: a call through a guard would cost it a tenth.

Not `BaseException`: a SIGTERM handler that raises `SystemExit`, or a Ctrl-C, may strike while the
host is inside `record_*`, and is the host's own.
"""

ANYTHING: Final = (BaseException,)
"""What is caught where an object of the host is asked; then `was_interrupted` decides."""


def attempt(part: str, call: Callable[..., T], *args: Any) -> tuple[T | None, Fault | None]:
    """Call a guest and return its result, or the fault that it is.

    A lazy result is not evaluated: hand in `lambda: tuple(guest.collect(window))`, not
    `guest.collect`, where a guest may be a generator.

    Args:
        part: Who is called, as the fault will name it.
        call: The guest.
        args: What it is called with.
    """
    try:
        return call(*args), None
    except Exception as error:
        return None, Fault(part, explain(error), error)


def salvage(call: Callable[[Any], T], value: Any, otherwise: T) -> T:
    """Return `call(value)`, or `otherwise` whatever the host's object `value` raises.

    That includes `SystemExit` and `KeyboardInterrupt`: raised by a `__repr__`, they are the
    object's fault and nobody's wish to stop. A signal that strikes meanwhile gets through.
    """
    try:
        return call(value)
    except BaseException as problem:
        if was_interrupted(problem, call, value):
            raise
        return otherwise


def was_interrupted(problem: BaseException, call: Callable[[Any], object], value: Any) -> bool:
    """Tell a signal that struck during `call(value)` from what the object `value` raised.

    An object raises the same again when it is asked again; a signal does not come twice.
    """
    if isinstance(problem, Exception):
        return False
    try:
        call(value)
    except BaseException as again:
        return type(again) is not type(problem)
    return True


_NAME_OF_TYPE: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__


def type_name(value: object) -> str:
    """Return the name of an object's type, without asking a metaclass, which may raise."""
    return _NAME_OF_TYPE(type(value))


def explain(error: BaseException) -> str:
    """Return an error in one string, even when its own `__str__` raises."""
    name = type_name(error)
    text = salvage(str, error, "")
    return f"{name}: {text}"[:_LONGEST_TEXT] if text else name
