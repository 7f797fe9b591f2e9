"""Calls that may hang are waited for up to a deadline, side by side, and never run twice."""

from __future__ import annotations

import os
import threading
import time

from mlwatch.errands import Errands


class Gate:
    """A call that hangs until it is let go, and counts how often it was begun."""

    def __init__(self):
        self.calls = 0
        self.open = threading.Event()

    def __call__(self):
        self.calls += 1
        self.open.wait(30)
        return "through"


def test_values_and_faults_come_back():
    """What a call returns is its value, what it raises its fault."""
    answers = Errands().run({"good": lambda: 7, "bad": lambda: 1 / 0}, 30)
    assert (answers["good"].ended, answers["good"].value, answers["good"].fault) == (True, 7, None)
    assert answers["bad"].ended
    assert answers["bad"].fault.error == "ZeroDivisionError: division by zero"


def test_calls_run_side_by_side():
    """Calls that wait for each other all end: none is begun after another has ended."""
    meet = threading.Barrier(5, timeout=30)
    answers = Errands().run({str(place): meet.wait for place in range(5)}, 30)
    assert all(answer.ended and answer.fault is None for answer in answers.values())


def test_a_call_that_hangs_is_begun_once_until_it_ends():
    """It is not waited for again, others are, and once it has ended it is begun anew."""
    errands, gate = Errands(), Gate()
    for place in range(3):
        answers = errands.run({"hangs": gate, "works": lambda: 1}, 0.02)
        hung = answers["hangs"]
        assert (hung.ended, hung.begun, hung.known) == (False, True, place > 0)
        assert gate.calls == 1
    assert errands.run({"works": lambda: 2}, 30)["works"].value == 2
    gate.open.set()
    assert errands.run({"hangs": gate}, 30)["hangs"].value == "through"
    assert errands.run({"hangs": gate}, 30)["hangs"].value == "through"
    assert 2 <= gate.calls <= 3


def test_two_who_ask_at_once_share_one_call():
    """A second caller waits for the call that runs, and both get its answer."""
    errands, gate, found = Errands(), Gate(), []
    threads = [
        threading.Thread(target=lambda: found.append(errands.run({"one": gate}, 30)["one"].value))
        for _ in range(2)
    ]
    threads[0].start()
    while not gate.calls:
        time.sleep(0.001)
    threads[1].start()
    gate.open.set()
    for thread in threads:
        thread.join()
    assert found == ["through", "through"]


def test_what_ends_the_thread_is_a_fault():
    """A call that raises SystemExit ends its own thread and has an answer."""

    def leave():
        raise SystemExit(3)

    answer = Errands().run({"leaves": leave}, 30)["leaves"]
    assert answer.ended
    assert answer.fault.error == "the thread was ended"


def test_a_fork_leaves_what_hangs_behind():
    """The child has none of the parent's threads, and begins the call anew."""
    errands, gate = Errands(), Gate()
    errands.run({"call": gate}, 0.02)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, str(errands.run({"call": lambda: "anew"}, 30)["call"].value).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"anew"
    gate.open.set()
