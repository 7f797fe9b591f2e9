"""The spool: what was appended is read, once written it stays, and damage ends where it is."""

import math
import os
import struct
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.processes import Account, run, start

from mlwatch.errors import ConfigurationError, SpoolError
from mlwatch.spool import DiskSpool, MemorySpool, SegmentId
from mlwatch.spool.frame import VERSION, opening
from mlwatch.spool.wire import DEEPEST, decode_record

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def encoded(*values):
    return [msgspec.msgpack.encode(value) for value in values]


def append(spool, *values, recorded=None, dropped=None, noted=None):
    recorded = len(values) if recorded is None else recorded
    spool.append(encoded(*values), recorded, dropped or {}, noted or {})


def frames(spool):
    return [frame for segment in spool.segments() for frame in spool.read(segment, 0)]


def values(spool):
    return [record for frame in frames(spool) for record in frame.records]


def only_file(folder):
    (path,) = folder.glob("*.seg")
    return path


@pytest.fixture(params=["disk", "memory"])
def make(request, tmp_path):
    """Make a spool of either kind."""

    def make_spool(max_bytes=2**30):
        if request.param == "disk":
            return DiskSpool(tmp_path / "spool", max_bytes, clock=lambda: NOW)
        return MemorySpool(max_bytes, clock=lambda: NOW)

    return make_spool


def test_what_was_appended_is_read(make):
    """A frame comes back with its records, its counts, its number and its time."""
    spool = make()

    append(spool, ["p", 1], ["o", None], recorded=5, dropped={"full": 3}, noted={"future": 1})
    append(spool, ["p", 2])

    first, second = frames(spool)
    assert first.records == [["p", 1], ["o", None]]
    assert (first.recorded, first.dropped, first.noted) == (5, {"full": 3}, {"future": 1})
    assert (first.number, second.number) == (1, 2)
    assert first.time == NOW
    assert spool.segments() == [SegmentId(first.writer, first.segment)]


def test_reading_goes_on_behind_a_frame(make):
    """Only frames above the given number are read, again and again, in any order."""
    spool = make()
    for number in range(1, 6):
        append(spool, number)
    (segment,) = spool.segments()

    for after in (3, 0, 5, 4, 1):
        assert [frame.number for frame in spool.read(segment, after)] == list(range(after + 1, 6))
    append(spool, 6)
    assert [frame.number for frame in spool.read(segment, 5)] == [6]


def test_only_a_finished_segment_is_removed(make):
    """The open segment is not finished and cannot be removed; closed, it is and can."""
    spool = make()
    append(spool, 1)
    (segment,) = spool.segments()

    assert not spool.finished(segment)
    with pytest.raises(SpoolError, match="still written"):
        spool.remove(segment)
    spool.close()
    assert spool.finished(segment)
    spool.remove(segment)
    spool.remove(segment)
    assert spool.segments() == []
    assert spool.bytes == 0


def test_a_closed_spool_opens_a_new_segment(make):
    """A record that comes after close() is not lost: it begins another segment."""
    spool = make()
    append(spool, 1)
    spool.close()
    append(spool, 2)
    spool.close()
    spool.close()

    assert [(frame.segment, frame.number) for frame in frames(spool)] == [(1, 1), (2, 1)]
    assert values(spool) == [1, 2]


def test_a_full_spool_refuses_until_segments_are_removed(make):
    """At its byte cap a spool refuses, keeps what it has, and takes more when there is room."""
    spool = make(max_bytes=20_000)
    with pytest.raises(SpoolError, match="20,000 bytes") as refusal:  # noqa: PT012
        for _ in range(100):
            append(spool, "x" * 1000)
    kept = len(values(spool))

    assert refusal.value.reason == "spool_full"
    assert 15 <= kept < 20
    assert spool.bytes <= 20_000
    for segment in spool.segments():
        assert spool.finished(segment)
        spool.remove(segment)
    append(spool, "again")
    assert values(spool) == ["again"]


def test_numbers_begin_anew_in_each_segment(tmp_path):
    """A segment over its size is finished, and the next one counts its frames from 1."""
    spool = DiskSpool(tmp_path, segment_bytes=3000)
    for _ in range(7):
        append(spool, "x" * 1000)

    numbers = [(frame.segment, frame.number) for frame in frames(spool)]

    assert numbers == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1)]
    assert [spool.finished(segment) for segment in spool.segments()] == [True, True, False]


def test_an_old_segment_is_finished_by_the_next_append(tmp_path):
    """After an hour a segment is closed, so that ingest can remove it."""
    seconds = iter([0.0, 3599.0, 3601.0, 3601.0])
    spool = DiskSpool(tmp_path, monotonic=lambda: next(seconds))
    for number in range(3):
        append(spool, number)

    assert [frame.segment for frame in frames(spool)] == [1, 1, 2]


def test_an_old_segment_is_finished_where_nothing_more_comes(tmp_path):
    """A writer that falls silent leaves no segment open that ingest could remove."""
    seconds = iter([0.0, 3599.0, 3601.0])
    spool = DiskSpool(tmp_path, monotonic=lambda: next(seconds))
    append(spool, 1)
    (segment,) = spool.segments()
    spool.rotate()
    assert not spool.finished(segment)
    spool.rotate()
    assert spool.finished(segment)
    spool.remove(segment)
    assert spool.segments() == []


def test_construction_makes_nothing(tmp_path):
    """No folder and no file before the first append."""
    spool = DiskSpool(tmp_path / "a" / "b")

    assert list(tmp_path.iterdir()) == []
    assert spool.segments() == []
    assert spool.bytes == 0
    append(spool, 1)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert only_file(tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_is_refused_at_construction(tmp_path):
    """The error names the path and the option."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"file/spool.* is a file.*CaptureOptions"):
        DiskSpool(tmp_path / "file" / "spool")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_at_construction(tmp_path):
    """The error names the folder that lacks the permission."""
    tmp_path.chmod(0o500)

    with pytest.raises(ConfigurationError, match="no permission"):
        DiskSpool(tmp_path / "spool")


def end(spool):
    """Return what reading to the end of the only segment says beyond its sound frames."""
    (segment,) = spool.segments()
    sound = list(spool.read(segment, 0))
    (last,) = list(spool.read(segment, 0, to_end=True))[len(sound) :]
    assert (last.number, last.records) == (len(sound) + 1, [])
    assert list(spool.read(segment, last.number, to_end=True)) == []
    return last.recorded, last.dropped, last.noted


@pytest.mark.parametrize("left", [1, 7, 8, 12, 13, -1])
def test_a_torn_end_is_skipped_and_noted(tmp_path, left):
    """What a kill left half written is no frame; all before it is read, and nothing is kept."""
    spool = DiskSpool(tmp_path)
    append(spool, 1)
    whole = only_file(tmp_path).stat().st_size
    append(spool, 2)
    spool.close()
    left %= only_file(tmp_path).stat().st_size - whole
    os.truncate(only_file(tmp_path), whole + left)

    assert values(spool) == [1]
    assert end(spool) == (0, {}, {"torn_bytes": left, "torn_segments": 1})
    spool.remove(spool.segments()[0])
    assert list(tmp_path.iterdir()) == []


def test_an_end_of_zeros_is_skipped_and_noted(tmp_path):
    """A file system may give zeros for what a loss of power took."""
    spool = DiskSpool(tmp_path)
    append(spool, 1)
    spool.close()
    with only_file(tmp_path).open("ab") as file:
        file.write(bytes(64))

    assert values(spool) == [1]
    assert end(spool) == (0, {}, {"torn_bytes": 64, "torn_segments": 1})


def test_a_whole_end_says_nothing(make):
    """Reading a sound segment to its end gives its frames and nothing else."""
    spool = make()
    append(spool, 1)
    spool.close()
    (segment,) = spool.segments()

    assert [frame.records for frame in spool.read(segment, 0, to_end=True)] == [[1]]


def change(folder, at, data):
    """Write over a part of the only segment."""
    with only_file(folder).open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_damaged_frame_costs_itself_alone(tmp_path):
    """Reading goes on behind it; the next frame counts what was lost, as its writer counted it."""
    spool = DiskSpool(tmp_path)
    append(spool, "a")
    append(spool, "broken", "c", recorded=5, dropped={"full": 3}, noted={"future": 1})
    append(spool, "damaged", recorded=2, dropped={"full": 1})
    append(spool, "d", recorded=2, dropped={"closed": 1})
    content = only_file(tmp_path).read_bytes()
    change(tmp_path, content.index(b"broken"), b"?")
    change(tmp_path, content.index(b"damaged"), b"?")

    first, last = frames(spool)
    assert (first.number, last.number) == (1, 4)
    assert (last.records, last.recorded) == (["d"], 9)
    assert last.dropped == {"full": 4, "closed": 1, "damaged": 3}
    assert last.noted == {"future": 1}
    append(spool, "e")
    assert values(spool) == ["a", "d", "e"]
    spool.close()
    spool.remove(spool.segments()[0])
    (kept,) = tmp_path.iterdir()
    assert kept.name.endswith(".seg.bad")
    assert spool.segments() == []
    assert spool.bytes == 0


def test_damage_to_what_was_read_before_loses_nothing(tmp_path):
    """A new reader that starts behind a damaged frame takes nothing of it for lost."""
    spool = DiskSpool(tmp_path)
    for value in ("a", "b", "c", "d", "e"):
        append(spool, value)
    content = only_file(tmp_path).read_bytes()
    change(tmp_path, content.index(b"\xa1b") + 1, b"?")
    change(tmp_path, content.index(b"\xa1c") + 1, b"?")
    reader = DiskSpool(tmp_path)
    (segment,) = reader.segments()

    (four, _) = reader.read(segment, 3)
    assert (four.number, four.recorded, four.dropped) == (4, 1, {})
    (four, _) = DiskSpool(tmp_path).read(segment, 2)
    assert (four.number, four.recorded, four.dropped) == (4, 2, {"damaged": 1})
    assert [frame.number for frame in reader.read(segment, 4)] == [5]


@pytest.mark.parametrize(
    ("at", "data", "lost"),
    [
        pytest.param(0, b"?", 2, id="mark"),
        pytest.param(4, b"\xff\xff\xff\xff", 2, id="length too large"),
        pytest.param(4, bytes(4), 2, id="length zero"),
        pytest.param(8, b"????", 2, id="checksum"),
        pytest.param(12, b"?", 1, id="structure"),
        pytest.param(-1, b"?", 2, id="record"),
    ],
)
def test_a_damaged_end_is_dropped(tmp_path, at, data, lost):
    """At the end of a finished segment as many records are dropped as can be made out, or one."""
    spool = DiskSpool(tmp_path)
    append(spool, 1)
    whole = only_file(tmp_path).stat().st_size
    append(spool, 2, 3)
    spool.close()
    change(tmp_path, at + (whole if at >= 0 else only_file(tmp_path).stat().st_size), data)

    assert values(spool) == [1]
    assert end(spool) == (lost, {"damaged": lost}, {})
    spool.remove(spool.segments()[0])
    assert [path.suffix for path in tmp_path.iterdir()] == [".bad"]


@pytest.mark.parametrize("size", [1, 12, 16])
def test_a_damaged_opening_costs_nothing(tmp_path, size):
    """What is behind an opening that was overwritten is a segment all the same."""
    spool = DiskSpool(tmp_path)
    append(spool, 1)
    append(spool, 2)
    for byte in (b"\0", b"?"):
        change(tmp_path, 0, byte * size)
        assert values(DiskSpool(tmp_path)) == [1, 2]


def test_a_mark_in_a_record_is_no_frame(tmp_path):
    """Bytes that look like the start of a frame, in a damaged one, are not taken for one."""
    spool = DiskSpool(tmp_path)
    looks = b"\xc1MLF" + struct.pack("<II", 5, 0) + b"hello"
    for value in (1, looks * 3, 2):
        append(spool, value)
    data = only_file(tmp_path).read_bytes()
    change(tmp_path, data.index(b"hello"), b"?")

    assert values(spool) == [1, 2]
    assert frames(spool)[1].dropped == {"damaged": 1}


def test_a_segment_that_was_hardly_begun_is_empty(tmp_path):
    """A writer killed before its first frame leaves nothing to read, and a file to remove."""
    for size in (0, 5, 12):
        (tmp_path / f"{size:028x}-000001.seg").write_bytes(bytes(size))
    spool = DiskSpool(tmp_path)

    assert values(spool) == []
    for segment in spool.segments():
        assert spool.finished(segment)
        spool.remove(segment)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_version_is_refused(tmp_path):
    """What this library cannot understand it says so, and keeps."""
    (tmp_path / "00ff-000001.seg").write_bytes(opening(version=VERSION + 1) + b"future")

    with pytest.raises(SpoolError, match=r"00ff-000001\.seg has version 3.*upgrade"):
        values(DiskSpool(tmp_path))


def test_a_foreign_file_is_refused(tmp_path):
    """A file that is no segment is named in the error."""
    (tmp_path / "00ff-000001.seg").write_bytes(b"something else entirely")

    with pytest.raises(SpoolError, match=r"00ff-000001\.seg is not a segment"):
        values(DiskSpool(tmp_path))


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    """Only names of segments are segments."""
    for name in ("notes.txt", "x.seg", "00ff-000001.seg.bak"):
        (tmp_path / name).write_text("mine")

    assert DiskSpool(tmp_path).segments() == []


def test_two_spools_on_one_folder_keep_apart(tmp_path):
    """Each has its own segment; neither takes the other's for finished while it is open."""
    one, two = DiskSpool(tmp_path), DiskSpool(tmp_path)
    append(one, 1)
    append(two, 2)

    assert sorted(values(one)) == sorted(values(two)) == [1, 2]
    assert [one.finished(segment) for segment in one.segments()] == [False, False]
    two.close()
    assert sorted(one.finished(segment) for segment in one.segments()) == [False, True]


def test_a_segment_is_given_up_when_its_spool_is_collected(tmp_path):
    """A spool nobody holds any more frees its file and its lock."""
    spool = DiskSpool(tmp_path)
    append(spool, 1)
    del spool

    other = DiskSpool(tmp_path)
    assert other.finished(other.segments()[0])


def test_a_deleted_folder_is_made_again(tmp_path):
    """After somebody deletes the folder, the next append begins a new one."""
    folder = tmp_path / "spool"
    spool = DiskSpool(folder)
    append(spool, 1)
    only_file(folder).unlink()
    folder.rmdir()

    append(spool, 2)

    assert values(spool) == [2]


def test_a_folder_that_became_a_file_is_an_error(tmp_path):
    """What cannot be written is a SpoolError that names the folder, and clears with its cause."""
    spool = DiskSpool(tmp_path / "spool")
    (tmp_path / "spool").touch()

    with pytest.raises(SpoolError, match=r"spool.* cannot be written"):
        append(spool, 1)
    (tmp_path / "spool").unlink()
    append(spool, 2)
    assert values(spool) == [2]


def test_durability_disk_writes_the_same(tmp_path):
    """With a sync for every batch, frames are what they are without."""
    spool = DiskSpool(tmp_path, durability="disk")
    append(spool, 1)
    append(spool, 2)

    assert values(spool) == [1, 2]


def test_a_dead_writer_is_found(tmp_path):
    """A segment is finished when its writer was killed, and not before; nothing of it is lost."""
    writer = start(
        """
        spool = DiskSpool(folder)
        spool.append([b"\\x01"], 1, {}, {})
        print("ready", flush=True)
        time.sleep(60)
        """,
        tmp_path,
    )
    assert writer.stdout.readline() == "ready\n"
    spool = DiskSpool(tmp_path)
    (segment,) = spool.segments()

    assert not spool.finished(segment)
    writer.kill()
    writer.communicate()
    assert spool.finished(segment)
    assert values(spool) == [1]
    spool.remove(segment)
    assert spool.segments() == []


@pytest.mark.parametrize("hook", ["hook", "no hook"])
def test_a_forked_child_leaves_its_parents_segment_alone(tmp_path, hook):
    """A child has a writer and a segment of its own, told or not that it was forked."""
    run(
        f"""
        spool = DiskSpool(folder)
        spool.append([b"\\x01"], 1, {{}}, {{}})
        child = os.fork()
        if child == 0:
            if {hook == "hook"}:
                spool.forget()
            spool.append([b"\\x02"], 1, {{}}, {{}})
            os._exit(0)
        os.waitpid(child, 0)
        spool.append([b"\\x03"], 1, {{}}, {{}})
        """,
        tmp_path,
    )

    found = [[r for f in DiskSpool(tmp_path).read(s, 0) for r in f.records]
             for s in DiskSpool(tmp_path).segments()]  # fmt: skip
    assert sorted(found) == [[1, 3], [2]]


def test_a_child_does_not_hold_its_dead_parents_lock(tmp_path):
    """A parent's segment is finished when the parent is dead, though a child of it lives on."""
    parent = start(
        """
        into = recorder()
        record(into)
        into.flush()
        if os.fork() == 0:
            print("ready", flush=True)
            time.sleep(60)
            os._exit(0)
        signal.pause()
        """,
        tmp_path,
        start_new_session=True,
    )
    assert parent.stdout.readline() == "ready\n"
    spool = DiskSpool(tmp_path)
    (segment,) = spool.segments()
    assert not spool.finished(segment)

    parent.kill()
    parent.wait()
    finished = spool.finished(segment)
    os.killpg(parent.pid, 9)
    parent.communicate()

    assert finished


def test_memory_serves_one_process(tmp_path):
    """A second process is told that its records would never be seen, and what to do."""
    printed = run(
        """
        spool = MemorySpool()
        child = os.fork()
        if child == 0:
            try:
                spool.append([b"\\x02"], 1, {}, {})
            except Exception as error:
                print(type(error).__name__, error.permanent, error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
        tmp_path,
    )

    assert printed.startswith("SpoolError True a spool in memory serves only")
    assert "CaptureOptions(spool=" in printed


def test_a_file_size_limit_leaves_no_torn_end_and_no_duplicate(tmp_path):
    """A write that the system cuts short is taken back, so that a retry is exact."""
    printed = run(
        """
        import resource
        spool = DiskSpool(folder)
        stored = failed = 0
        def append(number):
            record = b"\\xda" + (1000).to_bytes(2, "big") + b"%01000d" % number
            spool.append([record], 1, {}, {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_500, -1))
        for number in range(20):
            try:
                append(number)
                stored += 1
            except Exception as error:
                assert "cannot be written" in str(error), error
                failed += 1
                resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
                append(number)
                stored += 1
        print(stored, failed)
        """,
        tmp_path,
    )
    account = Account(tmp_path)

    assert printed == "20 1\n"
    assert [int(record) for record in account.records] == list(range(20))
    assert account.torn == 0


def test_segments_are_numbered_without_gaps(tmp_path):
    """A segment that could not be begun takes no number: progress goes on from one to the next."""
    run(
        """
        import resource
        spool = DiskSpool(folder, segment_bytes=1)
        for limit in (-1, 0, 5, 20, -1, 0, -1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
            try:
                spool.append([b"\\x01"], 1, {}, {})
            except Exception as error:
                assert "cannot be written" in str(error), error
        """,
        tmp_path,
    )

    account = Account(tmp_path)
    assert [segment.segment for segment in account.spool.segments()] == [1, 2, 3]
    assert account.records == [1, 1, 1]


# What records are made of, and what reading makes of it.

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def same(one, two):
    if isinstance(one, float) and isinstance(two, float):
        return math.isnan(one) == math.isnan(two) and (one == two or math.isnan(one))
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    return type(one) is type(two) and one == two


@given(VALUES)
def test_any_record_comes_back_as_it_was(value):
    """NaN, infinities, None, text, bytes, times and nested values are read as they were written."""
    record, replaced = decode_record(msgspec.msgpack.encode(["p", value]))

    assert same(record, ["p", value])
    assert replaced == []


POISON = msgspec.msgpack.Ext(-1, b"no timestamp")


@given(VALUES, VALUES)
def test_a_value_that_cannot_be_decoded_costs_no_other(before, after):
    """A poisonous feature becomes a marker; the features around it are as they were."""
    data = msgspec.msgpack.encode(["p", before, {"a": before, "bad": POISON, "b": after}, after])
    record, replaced = decode_record(data)

    expected = {"a": before, "bad": "<unencodable value>", "b": after}
    assert same(record, ["p", before, expected, after])
    assert replaced == ["value"]


def test_a_value_nested_deeper_than_python_can_go_costs_no_other():
    """A value that the encoder just let through, and the decoder cannot, becomes a marker."""
    deep = b"\x91" * 200_000 + b"\x01"
    data = msgspec.msgpack.encode(["p", {"a": msgspec.Raw(deep), "b": 2}])

    assert decode_record(data) == (["p", {"a": "<unencodable value>", "b": 2}], ["value"])


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e300])
def test_seconds_that_are_no_time_cost_no_record(seconds):
    """A prediction whose time nobody can tell is read as it was written."""
    record, replaced = decode_record(msgspec.msgpack.encode(["p", "m", "1", "id", seconds]))
    assert (str(record[4]), replaced) == (str(seconds), [])


def test_what_is_read_is_never_nested_too_deep():
    """Stores and reports may recurse into a record without fear."""
    value = 1
    for _ in range(200):
        value = {"deeper": [value]}
    (_, found), replaced = decode_record(msgspec.msgpack.encode(["p", value]))

    assert replaced == ["dict"]
    depth = 0
    while isinstance(found, dict | list):
        found = found["deeper"] if isinstance(found, dict) else found[0]
        depth += 1
    assert depth == DEEPEST
    assert found == "<unencodable dict>"  # of a dict, a list, a dict, ...


def test_names_are_text_in_what_is_read():
    """A key that is no text becomes text, also inside a value."""
    data = msgspec.msgpack.encode(["p", {1: {(2, 3): None}, None: 4, b"x": 5}])

    assert decode_record(data) == (["p", {"1": {"(2, 3)": None}, "None": 4, "x": 5}], [])


def test_bytes_that_are_no_record_cost_no_other_record(make):
    """A record nobody can decode is counted as dropped, and its neighbours are read."""
    spool = make()
    spool.append([b"\x01", b"\xc1", b"\x92\x01", b"", b"\x02"], 5, {"full": 1}, {})

    (frame,) = frames(spool)
    assert frame.records == [1, 2]
    assert frame.dropped == {"full": 1, "undecodable": 3}


def test_age_and_size_are_options(tmp_path):
    """Rotation can be set, for hosts with little room."""
    spool = DiskSpool(tmp_path, segment_bytes=1, segment_age=timedelta(days=1))
    append(spool, 1)
    append(spool, 2)

    assert [frame.segment for frame in frames(spool)] == [1, 2]
