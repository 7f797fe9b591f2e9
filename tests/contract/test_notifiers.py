"""Every notifier keeps the contract, and the check of it fails on notifiers that do not."""

from __future__ import annotations

import pytest

from mlwatch import NotificationError, Notifier
from mlwatch.notifiers import LogNotifier
from mlwatch.testing import RecordingNotifier, check_notifier


def refusing():
    """Return a recording notifier whose receiver does not accept."""
    notifier = RecordingNotifier()
    notifier.fail_with = NotificationError("the receiver is down", retry_after=30)
    return notifier


@pytest.mark.parametrize(
    ("make", "failing"),
    [(LogNotifier, None), (RecordingNotifier, refusing)],
    ids=["log", "recording"],
)
def test_keeps_the_contract(make, failing):
    """Each of our notifiers keeps every promise that `check_notifier` checks."""
    check_notifier(make, failing=failing)


@pytest.mark.parametrize("make", [LogNotifier, RecordingNotifier])
def test_is_a_notifier(make):
    """Each of our notifiers is a `Notifier` without inheriting from it."""
    assert isinstance(make(), Notifier)
    assert Notifier not in type(make()).__mro__


# Notifiers that are wrong on purpose: each breaks one promise.


class Nameless:
    def notify(self, alert):
        """Accept."""


class Mute:
    name = "mute"


class OnlyFiring(RecordingNotifier):
    def notify(self, alert):
        if alert.state != "firing":
            raise NotificationError("cannot say that something is over")


class ChokesOnText(RecordingNotifier):
    def notify(self, alert):
        alert.title % ()


class ReturnsTheAnswer(RecordingNotifier):
    def notify(self, alert):
        return {"ok": True}


class WritesIntoTheAlert(RecordingNotifier):
    def notify(self, alert):
        alert.labels["sent"] = "yes"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Nameless, "no name"),
        (Mute, "no notify"),
        (ReturnsTheAnswer, "returned"),
        (WritesIntoTheAlert, "was changed"),
    ],
)
def test_the_check_fails_on_a_wrong_notifier(make, message):
    """A notifier that breaks its promise fails the check, and the check says how."""
    with pytest.raises(AssertionError, match=message):
        check_notifier(make)


@pytest.mark.parametrize("make", [OnlyFiring, ChokesOnText])
def test_the_check_fails_on_a_notifier_that_does_not_take_an_alert(make):
    """A notifier that refuses a resolved alert, or hostile text, fails the check."""
    with pytest.raises(AssertionError, match="an alert was not taken"):
        check_notifier(make)


def hiding():
    """Return a notifier that hides that its receiver did not accept."""
    return RecordingNotifier()


def blurting():
    """Return a notifier that raises what its library raises."""
    notifier = RecordingNotifier()
    notifier.fail_with = OSError("connection refused")
    return notifier


@pytest.mark.parametrize("failing", [hiding, blurting])
def test_the_check_fails_on_a_notifier_that_hides_a_failure(failing):
    """What was not delivered has to raise NotificationError, and nothing else."""
    with pytest.raises(AssertionError, match="NotificationError"):
        check_notifier(RecordingNotifier, failing=failing)
