"""A process knows its own queue from its parent's, whoever forked it."""

from collections import Counter

import pytest
from tests.processes import Account, run

FORKS = {"python": "os.fork()", "c": "ctypes.CDLL(None).fork()"}


@pytest.mark.parametrize("claim", ["claim", "ProcessClaim"])
@pytest.mark.parametrize("fork", FORKS)
def test_a_claim_is_void_in_a_child(tmp_path, fork, claim):
    """What a process claimed is not its child's, though no hook of Python ran."""
    printed = run(
        f"""
        import ctypes
        from mlwatch.recorder.ownership import {claim}

        mine = {claim}()
        child = {FORKS[fork]}
        if child == 0:
            os._exit(7 if mine[0] else 3)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), bool(mine[0]))
        """,
        tmp_path,
    )
    assert printed == "3 True\n"


def test_a_child_forked_in_c_has_ids_of_its_own(tmp_path):
    """A child of a server that forks in C stores its records under ids that never repeat."""
    run(
        """
        import ctypes

        into = recorder()
        record(into)
        child = ctypes.CDLL(None).fork()
        record(into)
        assert into.flush()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        """,
        tmp_path,
    )
    account = Account(tmp_path)
    assert len(account.ids) == 3
    assert max(Counter(account.ids).values()) == 1
    assert account.balanced
