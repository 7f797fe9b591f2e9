"""What a guest raises stays with the guest."""

import pytest

from mlwatch._guard import attempt, explain, salvage, was_interrupted
from mlwatch.records import Fault


class Unspeakable(Exception):
    def __str__(self):
        raise SystemExit(3)


def divide(number, by):
    return number / by


def leave(error):
    raise error


def test_a_guest_that_succeeds_gives_its_result():
    """The result comes back, and no fault."""
    assert attempt("calculator", divide, 6, 3) == (2, None)


def test_a_guest_that_raises_becomes_a_fault():
    """The fault names the part and the error, and nothing is raised."""
    result, fault = attempt("calculator", divide, 1, 0)

    assert result is None
    assert fault == Fault("calculator", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_the_wish_to_stop_passes_through(error):
    """Ctrl-C and sys.exit inside a collector end the cycle, as they end any program."""
    with pytest.raises(type(error)):
        attempt("collector", leave, error)


def test_an_error_without_words_is_still_named():
    """An error whose own __str__ raises is named by its type."""
    _, fault = attempt("detector", leave, Unspeakable())

    assert fault == Fault("detector", "Unspeakable")


def test_an_error_is_told_in_bounded_text():
    """A megabyte of message does not get into an alert."""
    assert len(explain(ValueError("x" * 10**6))) == 500


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_an_object_of_the_host_cannot_raise_anything(error):
    """Whatever asking an object raises, the other value is taken."""
    assert salvage(leave, error, "instead") == "instead"


def test_a_signal_is_told_from_what_an_object_raises():
    """An object that raises SystemExit does so again; an interruption does not come twice."""
    assert was_interrupted(SystemExit(), str, 1)
    assert not was_interrupted(SystemExit(), leave, SystemExit())
    assert not was_interrupted(ValueError(), str, 1)
    assert was_interrupted(SystemExit(), int, "no number"), "the object raises something else"
