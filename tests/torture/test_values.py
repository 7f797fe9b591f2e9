"""Values under pressure: no memory to encode them, and threads that change them meanwhile.

What else people put into features is in tests/test_recorder.py.
"""

from tests.processes import Settled, run

SCARCE = """
import resource

def limit(spare):
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + spare, resource.RLIM_INFINITY))
"""


def test_memory_that_runs_out_in_the_encoder_costs_the_value(tmp_path):
    """With too little memory for the bytes of a large text the record is kept without it."""
    printed = run(
        SCARCE
        + """
quiet()
watch = monitor()
watch.record_prediction({"a": 1}, 0.5)
watch.flush()
text = "x" * 300_000_000
limit(100_000_000)
made = [watch.record_prediction({"text": text, "beside": number}, 0.5) for number in range(20)]
resource.setrlimit(resource.RLIMIT_AS, [resource.RLIM_INFINITY] * 2)
print(len(set(made)), watch.flush())
""",
        tmp_path,
    )
    settled = Settled(tmp_path)

    assert printed == "20 True\n"
    assert settled.missing(21) == 0
    assert settled.noted["unencodable_value"] == 20


def test_what_threads_change_meanwhile_is_recorded_all_the_same(tmp_path, scale):
    """Dicts, lists and sets, nested, that others change during the call cost no record."""
    count = scale(2000, 100_000)
    run(
        f"""
        quiet()
        watch = monitor(max_bytes=2**28)
        inner, items, names = {{}}, [], set()
        features = {{"inner": inner, "items": items, "names": names, "odd": object()}}
        stop = threading.Event()

        def disturb(mine):
            number = 0
            while not stop.is_set():
                number += 1
                key = f"{{mine}}-{{number % 50}}"
                features[key] = inner[key] = number
                items.append(number)
                names.add(key)
                if number % 3 == 0:
                    features.pop(key, None), inner.clear(), items.clear(), names.clear()

        threads = [threading.Thread(target=disturb, args=(mine,)) for mine in range(3)]
        for thread in threads:
            thread.start()
        for _ in range({count}):
            watch.record_prediction(features, 0.5)
        stop.set()
        for thread in threads:
            thread.join()
        """,
        tmp_path,
    )
    settled = Settled(tmp_path)

    assert settled.missing(count) == 0
    assert settled.dropped == {}
