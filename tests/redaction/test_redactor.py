"""Redaction of one record or one table: what each action keeps, and what a failure costs."""

import enum
import hashlib
import hmac
import threading
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mlwatch.errors import ConfigurationError
from mlwatch.records import CaptureOptions
from mlwatch.redaction import Redactor, make_redactor

KEY = "a secret of thirty-two letters ."
OTHER = b"another secret of enough letters"
NAN = float("nan")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Level(enum.IntEnum):
    """An integer by another name."""

    HIGH = 17


class Code(str):
    """A text that lies about itself."""

    __slots__ = ()

    def __str__(self):
        return "public"

    __repr__ = __str__

    def __len__(self):
        return 0

    def encode(self, *_):
        return b"public"


def hashed(value, key=KEY):
    features, failed = Redactor({"x": "hash"}, key).features({"x": value})
    return "failed" if failed else features["x"]


def masked(value):
    features, failed = Redactor({"x": "mask"}).features({"x": value})
    return "failed" if failed else features["x"]


def test_each_action_keeps_what_it_says():
    """Dropped is gone, hashed is a digest, masked is a shape, and the rest stays as it is."""
    other = object()
    redact = {"email": "drop", "id": "hash", "card": "mask", "note": len, "absent": "mask"}
    raw = {"email": "b@x.org", "id": "c-17", "card": "4111 1111", "note": "abc", "other": other}
    kept, failed = Redactor(redact, KEY).features(raw)

    assert kept == {"id": hashed("c-17"), "card": "9999 9999", "note": 3, "other": other}
    assert failed == []
    assert raw["email"] == "b@x.org"


def test_the_hash_of_a_text_can_be_made_anywhere():
    """It is the HMAC-SHA256 of the text's UTF-8 bytes: 32 hexadecimal digits of it."""
    digest = hmac.new(KEY.encode(), "Zoë-17".encode(), hashlib.sha256).hexdigest()

    assert hashed("Zoë-17") == digest[:32]
    assert hashed("Zoë-17", KEY.encode()) == digest[:32]
    assert hashed("Zoë-17", OTHER) != digest[:32]


@pytest.mark.parametrize(
    "equal",
    [
        [17, 17.0, Decimal(17), Decimal("17.00"), np.int8(17), np.float32(17), Level.HIGH],
        [1, True, np.bool_(True), 1.0],
        ["x", Code("x"), np.str_("x")],
        [0.5, np.float16(0.5), np.longdouble(0.5), Decimal("0.5")],
        [0, 0.0, -0.0, False],
        [10**30, Decimal(10**30)],
        [b"x", bytearray(b"x"), memoryview(b"x"), np.bytes_(b"x")],
        [uuid.UUID(int=5), str(uuid.UUID(int=5))],
        [NOON, NOON.astimezone(timezone(timedelta(hours=5))), pd.Timestamp(NOON)],
        [date(2026, 3, 1), "2026-03-01"],
        [NOON.replace(tzinfo=None), np.datetime64("2026-03-01T12:00", "ns")],
    ],
    ids=["17", "1", "x", "half", "zero", "large", "bytes", "uuid", "aware", "date", "naive"],
)
def test_equal_values_have_equal_hashes(equal):
    """A value has one hash, whatever type it comes in."""
    digests = {hashed(value) for value in equal}

    assert len(digests) == 1
    assert all(len(digest) == 32 and digest != "failed" for digest in digests)


def test_different_values_have_different_hashes():
    """A number, the text of its digits, its bytes, and what lies close to it are told apart."""
    values = [1, "1", b"1", 2, 1.5, 10**16, 10**16 + 1, "", "x" * 3000, "x" * 3001,
              "\ud800", float("inf"), -float("inf"), "inf"]  # fmt: skip
    digests = [hashed(value) for value in values]

    assert "failed" not in digests
    assert len(set(digests)) == len(values)


@pytest.mark.parametrize("action", ["hash", "mask", lambda value: value.upper()])
@pytest.mark.parametrize(
    "value", [None, NAN, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("NaN")]
)
def test_what_is_missing_stays_so(action, value):
    """Nothing is made of None, NaN and their like, nor is a function asked about them."""
    kept, failed = Redactor({"x": action}, KEY).features({"x": value})

    assert kept["x"] is value
    assert failed == []
    assert Redactor({"x": action}, KEY).features({}) == ({}, [])


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("Bob O'Neil-17", "Aaa A'Aaaa-99"),
        ("bob@mail.org", "aaa@aaaa.aaa"),
        ("Zoë Ωß 東", "Aaa Aa a"),
        ("\n\u200b💥", "???"),
        ("x" * 10**6, "a" * 32),
        (4111111111111111, "9" * 16),
        (-17.5, "-99.9"),
        (True, "9"),
        (b"ab1", "aa9"),
        (date(2026, 3, 1), "9999-99-99"),
        (Code("secret"), "aaaaaa"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_mask_is_the_shape(value, shape):
    """Letters become a or A, digits 9; ASCII punctuation stays, of at most 32 places."""
    assert masked(value) == shape


def exits(value):
    """Leave the program, with the value in hand."""
    raise SystemExit(value)


class Broken:
    """An object that leaves the program whatever is asked of it."""

    def __repr__(self):
        raise SystemExit(1)

    __str__ = __bytes__ = __hash__ = __eq__ = __float__ = __iter__ = __repr__


FAILING = {
    "exits": (exits, "secret"),
    "raises": (lambda value: value["nothing"], "secret"),
    "list": ("hash", ["secret"]),
    "mapping": ("hash", {"secret": 1}),
    "object": ("hash", Broken()),
    "endless number": ("hash", Decimal("1e999999")),
    "span": ("hash", np.timedelta64(5, "s")),
    "set": ("mask", {"secret"}),
    "complex": ("mask", 1j),
    "longest number": ("mask", 10**5000),
}


@pytest.mark.parametrize("name", FAILING)  # by name: pytest itself falls over some of them
def test_a_failure_costs_the_field(name):
    """A redactor that raises, SystemExit too, never lets the raw value through."""
    action, value = FAILING[name]
    kept, failed = Redactor({"x": action}, KEY).features({"x": value, "beside": 1})

    assert kept == {"beside": 1}
    assert failed == ["x"]


def test_a_function_of_all_features():
    """It is given a copy and returns the features; raising, it costs them all, not the record."""
    raw = {"email": "b@x.org", "age": 3}

    def strip(features):
        del features["email"]
        return features

    assert Redactor(strip).features(raw) == ({"age": 3}, [])
    assert raw == {"email": "b@x.org", "age": 3}
    for broken in (exits, lambda features: None, lambda features: features["no"], lambda _: 5):
        assert Redactor(broken).features(raw) == ({}, ["*"])


@pytest.mark.parametrize("kind", ["one value", "all features", "a table"])
def test_a_function_may_change_what_it_is_given(kind):
    """What a function changes in place, at any depth, is a copy: the host keeps its features."""

    def strip(found):
        found = found["deep"] if kind == "all features" else found
        found["people"].clear()
        found["codes"][0] = 0
        found["pair"][0].append("seen")
        return {"deep": found} if kind == "all features" else found

    deep = {"people": {"Bob"}, "codes": np.array([4111]), "pair": ([],)}
    redactor = Redactor(strip if kind == "all features" else {"deep": strip})
    if kind == "a table":
        (kept,) = redactor.columns({"deep": [deep]})[0]["deep"]
    else:
        kept = redactor.features({"deep": deep})[0]["deep"]

    assert kept == {"people": set(), "codes": np.array([0]), "pair": (["seen"],)}
    assert deep == {"people": {"Bob"}, "codes": np.array([4111]), "pair": ([],)}


def test_what_holds_values_and_cannot_be_copied_costs_the_field():
    """A function never gets at the host's own container, nor is that kept instead."""

    class Single(list):
        def __deepcopy__(self, memo):
            raise TypeError

    raw = {"x": Single(["secret"]), "age": 3}

    assert Redactor({"x": list.copy}).features(raw) == ({"age": 3}, ["x"])


def test_a_function_is_handed_other_objects_as_they_are():
    """What holds no values, such as a connection, is not copied."""
    lock = threading.Lock()

    assert Redactor({"x": lambda it: it is lock}).features({"x": lock}) == ({"x": True}, [])
    assert Redactor(lambda it: {"x": it["x"] is lock}).features({"x": lock}) == ({"x": True}, [])


def test_a_function_that_has_no_length_redacts_all_the_same():
    """An object that is called is a function, whatever it says of its length."""

    class Strip(list):
        def __call__(self, features):
            return {}

    assert make_redactor(Strip(), None).features({"email": "b@x.org"}) == ({}, [])
    assert make_redactor({}, None) is None
    assert make_redactor(None, None) is None


def test_a_real_wish_to_stop_gets_through():
    """Ctrl-C while a redactor runs is the host's own."""
    asked = []

    def once(value):
        asked.append(value)
        if len(asked) == 1:
            raise KeyboardInterrupt  # as a signal handler would, just now and never again
        return value

    with pytest.raises(KeyboardInterrupt):
        Redactor({"x": once}).features({"x": 1})


@pytest.mark.parametrize("kind", [dict, pd.DataFrame])
def test_a_table_is_redacted_as_its_rows_are(kind):
    """Each value of each column becomes what it would become in a record; the order stays."""
    columns = {
        "id": np.array([1, 2, 3]),
        "email": ["a", "b", "c"],
        "card": ["12", None, "x"],
        "at": np.array(["2026-03-01", "NaT", "2026-03-02"], "datetime64[ns]"),
        "share": np.array([0.5, np.nan, 2], np.float32),
        "other": [1, 2, 3],
    }
    redact = {"email": "drop", "id": "hash", "card": "mask", "at": "hash", "share": "hash"}
    found, failed = Redactor(redact, KEY).columns(kind(columns))

    assert list(found) == ["id", "card", "at", "share", "other"]
    assert found["id"] == [hashed(1), hashed(2), hashed(3)]
    assert found["card"][::2] == ["99", "a"]
    assert pd.isna(found["card"][1])
    assert found["at"][0] == hashed(datetime(2026, 3, 1))  # noqa: DTZ001
    assert pd.isna(found["at"][1])
    assert found["share"][::2] == [hashed(0.5), hashed(2)]
    assert pd.isna(found["share"][1])
    assert not failed


def test_failures_in_a_table_are_counted():
    """The value is None there, in that row alone; a failed row of a function of all is empty."""
    columns = {"a": ["x", "", "y"], "b": [1, 2, 3]}
    found, failed = Redactor({"a": lambda text: text[0]}).columns(columns)
    assert (found, failed) == ({"a": ["x", None, "y"], "b": [1, 2, 3]}, {"a": 1})

    found, failed = Redactor(lambda row: {"c": 6 // (row["b"] - 2)}).columns(columns)
    assert (found, failed) == ({"c": [-6, None, 6]}, {"*": 1})


def test_an_error_tells_nothing_that_was_redacted():
    """Of an exception its name is kept, of a text all but the raw values, wherever they lie."""
    raw = {"email": "b@x.org", "n": 4111, "deep": {"list": ["Bob+", None]}, "age": 33}
    tell = Redactor({"email": "drop", "n": "mask", "deep": "hash"}, KEY).error

    assert tell(ValueError("b@x.org"), raw) == "ValueError"
    assert tell(None, raw) is None
    assert tell("no b@x.org, 4111 or Bob+ of 33: None", raw) == (
        "no [redacted], [redacted] or [redacted] of 33: None"
    )
    assert tell(Broken(), raw) == "<Broken>"
    assert tell("as it is", {"a": "is"}) == "as it is"
    assert tell("of features that could not be read", {}) == "[redacted]"


def test_an_error_tells_no_redacted_feature_whatever_became_of_it():
    """It counts which features are redacted, not whether a function gave back what it was given."""
    raw = {"email": "b@x.org", "age": 33}

    assert Redactor({"email": str}).error("b@x.org of 33", raw) == "[redacted] of 33"
    assert Redactor(dict).error("b@x.org of 33", raw) == "[redacted] of [redacted]"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("Bob\nof \tBonn", "{!r}"),
        ("Bob\nof \tBonn", "[{!r}]"),
        ('O\'Neil says "hi"', "{!r}"),
        (Code("Bob\nof \tBonn"), "'Bob\\nof \\tBonn'"),
        (b"Bob\nof Bonn", "{!r}"),
        (b"Bob\nof Bonn", "'Bob\\nof Bonn'"),
        ("Bob@Mail.org", "bob@mail.org"),
        ("bob@mail.org", "BOB@MAIL.ORG"),
        ("ZOË", "zoë"),
        ({"deep": ["Bob\nof Bonn"]}, "{!r}"),
        (NOON, "{!r}"),
        (date(2026, 3, 1), "{!r}"),
    ],
)
def test_a_text_tells_no_value_in_other_letters(value, told):
    """A raw value is taken out as `repr` writes it too, and whichever letters are capitals."""
    text = Redactor({"x": "drop"}).error(f"cannot read {told.format(value)}!", {"x": value})

    assert text.startswith("cannot read ")
    assert "[redacted]" in text
    for part in ("bob", "bonn", "neil", "hi", "zoë", "2026"):
        assert part not in text.lower().replace("cannot read", "")


@pytest.mark.parametrize("make", [CaptureOptions, Redactor])
@pytest.mark.parametrize(
    ("redact", "key", "message"),
    [
        ({"a": "hsah"}, None, "'a': 'hsah'.*did you mean 'hash'"),
        ({"a": "delete"}, None, "one of 'drop', 'hash', 'mask'"),
        ({"a": None}, None, "one of 'drop'"),
        ({1: "drop"}, None, "1 is no name"),
        ("email", None, "must be a mapping"),
        (["email"], None, "must be a mapping"),
        ({"a": "hash"}, None, "'a' give redact_key="),
        ({"a": "hash"}, "short-secret", "at least 16"),
        ({"a": "drop"}, 12345678901234567, "must be bytes or a text"),
    ],
)
def test_what_cannot_be_right_is_refused(make, redact, key, message):
    """An unknown action, no key or a short one: the message names the remedy, never the key."""
    arguments = {"redact": redact, "redact_key": key}
    if make is Redactor:
        arguments = {"redact": redact, "key": key}
    with pytest.raises(ConfigurationError, match=message) as caught:
        make(**arguments)
    assert str(key) not in str(caught.value) or key is None


def test_the_key_is_never_shown():
    """The options and the redactor have no key in their representation."""
    options = CaptureOptions(redact={"a": "hash"}, redact_key=KEY)

    assert KEY not in repr(options)
    assert KEY not in repr(vars(Redactor({"a": "hash"}, KEY)))
    assert hash(options) == hash(CaptureOptions(redact_key=KEY))
