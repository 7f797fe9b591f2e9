"""Disks that fail: full, gone, read-only, limited, interrupted; then all is well again."""

import pytest
from tests.processes import Account, Settled, run


def test_a_full_disk_loses_nothing_that_memory_holds(small_disk):
    """A disk that is full and then has room again: no torn end, no duplicate, an exact account."""
    printed = run(
        """
        quiet()
        filler = folder.parent / "filler"
        filler.write_bytes(bytes(2_700_000))
        into = recorder(max_bytes=1_000_000, flush_interval=timedelta(milliseconds=1))
        features = {"text": "x" * 1000}
        for count in (2000, 1000):
            for _ in range(count):
                record(into, features)
                time.sleep(0.0002)
            print(into.flush(5), into.stats.queue_bytes > 0)
            if filler.exists():
                failed = "No space left" in into.stats.last_error
                filler.unlink()
        print(failed and not into.stats.last_error)
        print(into.stats.recorded, into.stats.dropped.get("thinned", 0))
        print(sum(into.stats.dropped.values()))
        """,
        small_disk / "spool",
    )
    *flushed, failed, counts, dropped = printed.splitlines()
    recorded, thinned = map(int, counts.split())
    account = Account(small_disk / "spool")

    assert flushed == ["False True", "True False"]
    assert failed == "True"
    assert recorded == 3000
    assert 0 < thinned <= int(dropped) < 3000
    assert len(account.ids) == len(set(account.ids)) == recorded - int(dropped)
    assert account.torn == 0
    assert account.balanced


# What breaks the disk, what mends it, and in what words the status tells of it.
FAULTS = {
    "full": ("filler.write_bytes(bytes(room()))", "filler.unlink()", "No space left"),
    "read-only": ("remount('ro')", "remount('rw')", "Read-only file system"),
    "limited": (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (biggest() + 1000, -1))",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))",
        "File too large",
    ),
    "no descriptors": (
        "hoard = [os.open(os.devnull, os.O_RDONLY) for _ in range(200 - descriptors())]",
        "[os.close(one) for one in hoard]",
        "Too many open files",
    ),
    "deleted": ("shutil.rmtree(spool)", "pass", ""),
    "a file in its place": (
        "shutil.rmtree(spool); spool.write_bytes(b'')",
        "spool.unlink()",
        "Not a directory",
    ),
}
OWN_DISK = ("full", "read-only")

FAULTY = """
import resource, shutil, subprocess

quiet()
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
disk = Path({disk!r})
spool, filler = disk / "spool", disk / "filler"
watch = monitor(spool=spool, max_bytes=300_000, flush_interval=timedelta(milliseconds=1))
made = 0

def some(count):
    global made
    for made in range(made + 1, made + count + 1):
        watch.record_prediction({{"text": "x" * 200}}, 0.5)
        if made % 100 == 0:
            time.sleep(0.002)

def room():
    now = os.statvfs(disk)
    return now.f_bavail * now.f_frsize

def remount(how):
    subprocess.run(["mount", "-o", f"remount,{{how}}", str(disk)], check=True)

def biggest():
    return max(path.stat().st_size for path in spool.rglob("*.seg"))

def descriptors():
    return len(os.listdir("/proc/self/fd")) - 1

some({before})
if not watch.flush(ingest=True):  # so that nobody loses what is deleted
    sys.exit(1)
{breaks}
some({during})
flushed = watch.flush(5)
{mends}
error = watch.status().last_error
some({after})
print(flushed, watch.flush() and not watch.status().last_error, made, error, sep="|")
"""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_fails_and_is_mended(tmp_path, request, scale, fault):
    """Memory stays bounded, what it cannot hold is counted, and all the rest is stored once."""
    breaks, mends, words = FAULTS[fault]
    disk = request.getfixturevalue("small_disk") if fault in OWN_DISK else tmp_path
    count = scale(3000, 100_000)
    # A disk becomes read-only to those alone who have no file open on it.
    before = 0 if fault == "read-only" else 500
    script = FAULTY.format(
        disk=str(disk), breaks=breaks, mends=mends, before=before, during=count, after=500
    )
    flushed, again, made, error = run(script, tmp_path).split("|")
    settled = Settled(tmp_path, disk / "spool")
    harmless = fault == "deleted"

    assert (flushed, again) == (str(harmless), "True")
    assert words in error
    assert settled.missing(int(made)) == 0
    assert harmless or sum(settled.dropped.values()) > 0
    assert settled.stored >= before + 500
    assert "torn_segments" not in settled.noted


CALLS = {
    "EINTR": ["write:error=EINTR:when=2+3"],
    "EIO": ["write:error=EIO:when=2+3"],
    "ENOSPC": ["write:error=ENOSPC:when=2+3"],
    "EIO twice": ["write:error=EIO:when=2+3", "ftruncate:error=EIO"],
}


@pytest.mark.parametrize("calls", CALLS)
def test_system_calls_that_fail_are_tried_again(tmp_path, tracer, scale, calls):
    """Every third write is interrupted or fails, and nothing is lost or comes twice."""
    count = scale(3000, 50_000)
    inject = [f"--inject={call}" for call in CALLS[calls]]
    run(
        f"""
        quiet()
        watch = monitor(flush_interval=timedelta(milliseconds=1), max_bytes=2**28)
        for number in range({count}):
            watch.record_prediction({{"a": 1}}, 0.5)
            if number % 10 == 0:
                time.sleep(0.005)
        while watch.status().queue_bytes:  # strace counts the calls of each thread by itself
            time.sleep(0.01)
        """,
        tmp_path,
        under=[tracer, "-f", "-qqq", "-o", tmp_path / "calls", "-e", "write,ftruncate", *inject],
    )
    injected = (tmp_path / "calls").read_text().count("(INJECTED)")
    settled = Settled(tmp_path)

    assert injected > count / 500
    assert settled.missing(count) == 0
    assert settled.dropped == {}
