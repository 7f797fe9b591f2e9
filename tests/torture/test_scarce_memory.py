"""Memory that runs out anywhere in a call, for one allocation."""

import pytest
from tests.processes import Settled, run


def test_any_allocation_may_fail(tmp_path, scale):
    """Whichever allocation of a call fails, nothing is raised and the record is in the account."""
    pytest.importorskip("_testcapi", reason="this Python cannot make allocations fail")
    printed = run(
        f"""
        import _testcapi, gc

        quiet()
        gc.disable()
        watch = monitor()
        features = {{"a": 1, "b": "x", "c": [1.5, None], "d": {{"e": 2**40}}}}
        one = watch.record_prediction
        ids = []
        for _ in range(50):
            ids.append(one(features, 0.5))
        raised = [0]
        for turn in range({scale(20, 500)}):
            for number in range(60):
                _testcapi.set_nomemory(number, number + 1)
                try:
                    made = one(features, 0.5)
                except MemoryError:  # the interpreter had no memory for the call itself
                    raised[0] += 1
                    made = None
                _testcapi.remove_mem_hooks()
                ids.append(made)
        ids = [name for name in ids if name is not None]
        watch.flush()
        print(len(ids), len(set(ids)), raised[0], watch.status().recorded)
        """,
        tmp_path,
    )
    ids, different, raised, recorded = map(int, printed.split())

    assert raised == 0
    assert ids == different == recorded
    assert Settled(tmp_path).missing(ids) == 0
