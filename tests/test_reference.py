"""The reference: what is fitted, what is saved, what is refused."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.traffic import HOUR, START, predicted

from mlwatch.errors import ConfigurationError, DataError, ReferenceFileError
from mlwatch.records import Outcome, Prediction
from mlwatch.reference import Reference
from mlwatch.window import Window

RNG = np.random.default_rng(0)
N = 2000
DATA = {
    "age": RNG.normal(40, 10, N),
    "visits": RNG.poisson(3, N),
    "share": RNG.random(N).astype(np.float32),
    "signed_up": np.datetime64("2024-01-01") + RNG.integers(0, 300, N).astype("timedelta64[h]"),
    "city": np.where(RNG.random(N) < 0.004, "Hallig Hooge", RNG.choice(["Bonn", "Ulm"], N)),
    "member": RNG.random(N) < 0.5,
}
SCORES = RNG.beta(2, 5, N)
TRUE = RNG.integers(0, 2, N)


@pytest.fixture(scope="module")
def reference():
    return Reference.fit(DATA, predictions=SCORES, outcomes=TRUE, meta={"model": "m", "run": 7})


@pytest.fixture
def saved(reference, tmp_path):
    path = tmp_path / "reference.json"
    reference.save(path)
    return path


class TestFit:
    """A reference is the counts of a table."""

    def test_frame_and_arrays_give_one_reference(self, reference):
        """A DataFrame, a mapping of arrays and one of lists give the same fingerprint."""
        again = Reference.fit(pd.DataFrame(DATA), predictions=SCORES.tolist(), outcomes=TRUE)
        lists = Reference.fit(
            {name: list(column) for name, column in DATA.items() if name != "share"}
        )

        assert again.fingerprint == reference.fingerprint
        assert again.features == reference.features == tuple(DATA)
        assert lists.distribution("city") == reference.distribution("city")
        assert lists.distribution("signed_up") == reference.distribution("signed_up")

    def test_its_own_rows_count_as_its_distributions(self, reference):
        """Counting the training data again gives the reference's own counts."""
        assert reference.count(DATA) == reference.profile
        assert reference.profile.rows == N
        assert reference.distribution("age").n == N

    def test_missing_values_of_many_categories_keep_their_share(self):
        """A column counted on half of its rows has its missing values counted on that half too."""
        rng = np.random.default_rng(0)
        names = rng.integers(0, 400, 8000).astype(str).astype(object)
        names[rng.random(8000) < 0.2] = None
        found = Reference.fit({"x": names}).distribution("x")

        assert found.counts.tolist() == found.grid.mass.tolist()
        assert found.total == 4000
        assert found.missing / found.total == pytest.approx(0.2, abs=0.02)

    def test_a_column_of_the_whole_zoo(self):
        """Missing, NaN, infinite, constant and single-row columns are fitted and counted."""
        data = {
            "gone": [None] * 4,
            "nan": [math.nan] * 4,
            "infinite": [math.inf, 1.0, -math.inf, 2.0],
            "constant": [5] * 4,
            "large": [2**70, 1, 2, 3],
        }
        fitted = Reference.fit(data)
        one = Reference.fit({name: column[:1] for name, column in data.items()})

        assert fitted.count(data) == fitted.profile
        assert fitted.distribution("gone").missing == 4
        assert fitted.distribution("infinite").infinite == 2
        assert one.profile.rows == 1

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"age": [1, 2], "x": [[1], [2]]}, "'x'.*list"),
            ({"age": [1, 2], "x": [1]}, "unequal length"),
            ({"age": np.zeros((2, 2))}, r"'age'.*\(2, 2\)"),
            ({"age": 5}, "'age'"),
            ({"age": "text"}, "'age'"),
            ({3: [1, 2]}, "3 is not a text"),
            ({}, "without rows"),
            ({"age": []}, "without rows"),
            ([1, 2, 3], "list"),
            (pd.DataFrame([[1, 2]], columns=pd.Index(["a", "a"])), "same name"),
            ({"prediction": [1, 2]}, '"prediction"'),
        ],
    )
    def test_bad_data_is_named(self, data, message):
        """Data that cannot be counted is refused, with the column and the remedy."""
        with pytest.raises(DataError, match=message):
            Reference.fit(data)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"decision_threshold": 0.0}, "decision_threshold=0.0"),
            ({"decision_threshold": 1.5}, "decision_threshold=1.5"),
            ({"min_count": 0}, "min_count=0"),
            ({"task": "ranking"}, "task='ranking'"),
            ({"predictions": [0.5] * 3}, "say task="),
        ],
    )
    def test_wrong_arguments_are_named(self, options, message):
        """An argument that cannot be right is named with its value."""
        with pytest.raises(ConfigurationError, match=message):
            Reference.fit({"x": [1, 2, 3]}, **options)

    def test_unknown_feature(self, reference):
        """Asking for another feature names those there are."""
        with pytest.raises(DataError, match=r"'weight'.*'age'"):
            reference.distribution("weight")

    @pytest.mark.parametrize(
        ("outcomes", "task"),
        [
            ([0, 1] * 50, "binary"),
            (["no", "yes"] * 50, "binary"),
            (["a", "b", "c", "d"] * 25, "multiclass"),
            (np.linspace(3, 9, 100), "regression"),
            (None, ""),
        ],
    )
    def test_task_is_inferred(self, outcomes, task):
        """The task follows from the outcomes and can be read."""
        assert Reference.fit({"x": np.arange(100)}, outcomes=outcomes).task == task


class TestFile:
    """A reference is one small file without raw rows."""

    def test_round_trip_is_exact(self, reference, saved):
        """A loaded reference has the same fingerprint, counts, scoring and notes, bit for bit."""
        loaded = Reference.load(saved, features=list(DATA))

        assert loaded.fingerprint == reference.fingerprint
        assert loaded.profile == reference.profile
        assert loaded.tallies == reference.tallies
        assert loaded.meta == {"model": "m", "run": 7}
        assert loaded.scoring.grid.fingerprint == reference.scoring.grid.fingerprint
        assert (loaded.task, loaded.scoring.classes) == ("binary", (0, 1))
        for name, found in reference.profile.distributions.items():
            again = loaded.distribution(name)
            assert again.grid.to_plain() == found.grid.to_plain()
            if found.kind == "numeric":
                assert again.grid.points.tobytes() == found.grid.points.tobytes()

    @given(
        st.dictionaries(
            st.text(max_size=5).filter(lambda name: name != "prediction"),
            st.lists(
                st.floats() | st.integers(-(2**70), 2**70) | st.text(max_size=3) | st.none(),
                min_size=12,
                max_size=12,
            ),
            min_size=1,
            max_size=4,
        )
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    def test_any_table_comes_back(self, tmp_path, data):
        """Whatever the names and values, a saved reference loads as itself and counts alike."""
        fitted = Reference.fit(data, min_count=1)
        fitted.save(tmp_path / "any.json")
        loaded = Reference.load(tmp_path / "any.json")

        assert loaded.fingerprint == fitted.fingerprint
        assert loaded.count(data) == fitted.count(data) == fitted.profile

    def test_no_row_and_no_rare_category_is_in_it(self, saved):
        """Of 2,000 values 255 points are written at most, and no category seen under 10 times."""
        text = saved.read_text()
        body = json.loads(text)
        points = {f["name"]: f["grid"].get("points", []) for f in body["features"]}
        seen = {name: int((DATA["city"] == name).sum()) for name in set(DATA["city"].tolist())}

        assert 0 < seen["Hallig Hooge"] < 10
        assert "Hooge" not in text
        assert len(points["age"]) == 255
        assert len(set(points["age"]) & set(DATA["age"].tolist())) == 255
        assert saved.stat().st_size < 100_000

    def test_saving_leaves_nothing_else_behind(self, reference, saved):
        """Saving replaces the file at once, and no part of it stays beside it."""
        reference.save(saved)

        assert [*saved.parent.iterdir()] == [saved]

    def test_a_path_that_cannot_be_written(self, reference, tmp_path):
        """A missing folder, and a file in place of a folder, are named in the error."""
        (tmp_path / "file").touch()
        for path in (tmp_path / "none" / "r.json", tmp_path / "file" / "r.json", tmp_path):
            with pytest.raises(ReferenceFileError, match=str(path)):
                reference.save(path)
        assert [*tmp_path.iterdir()] == [tmp_path / "file"]

    @pytest.mark.parametrize("meta", [{"made": object()}, {"text": "\ud800"}], ids=str)
    def test_notes_that_cannot_be_written(self, tmp_path, meta):
        """Notes that JSON cannot hold are refused, and nothing is written."""
        with pytest.raises(ReferenceFileError, match="cannot write"):
            Reference.fit({"x": [1]}, meta=meta).save(tmp_path / "r.json")
        assert [*tmp_path.iterdir()] == []

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "not a reference"),
            (b"not json", "not a reference"),
            (b"[1, 2]", 'no "format"'),
            (b'{"format": "pandas"}', 'no "format"'),
            (b"\xff\xfe", "not a reference"),
            (b"[" * 100_000, "not a reference"),
            (b'{"format": "mlwatch-reference", "version": 6}', "version 6.*upgrade mlwatch"),
            (b'{"format": "mlwatch-reference", "version": "1"}', "version '1'"),
            (b'{"format": "mlwatch-reference", "version": 5}', "lacks or garbles"),
            (b'{"format": "mlwatch-reference", "version": 5, "features": 3}', "lacks or garbles"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_foreign_files_are_refused(self, tmp_path, content, message):
        """Another file, or one of a newer format, is refused with its path and the remedy."""
        path = tmp_path / "reference.json"
        path.write_bytes(content)
        with pytest.raises(ReferenceFileError, match=message) as caught:
            Reference.load(path)
        assert str(path) in str(caught.value)

    def test_a_missing_file(self, tmp_path):
        """A file that is not there, or is a folder, is named, and how to make one is said."""
        for path in (tmp_path / "none.json", tmp_path):
            with pytest.raises(ReferenceFileError, match=r"Reference\.fit") as caught:
                Reference.load(path)
            assert str(path) in str(caught.value)

    def test_any_cut_is_noticed(self, saved):
        """A file that ends early, anywhere, is refused."""
        whole = saved.read_bytes()
        for at in np.linspace(0, len(whole) - 2, 60).astype(int):
            saved.write_bytes(whole[:at])
            with pytest.raises(ReferenceFileError, match=r"reference\.json"):
                Reference.load(saved)

    def test_any_change_is_noticed(self, saved):
        """A count, a point, a name or a setting that was changed by hand is refused."""
        whole = saved.read_text()
        body = json.loads(whole)
        changes = [
            lambda b: b["features"][0]["counts"].__setitem__("0", 10**6),
            lambda b: b["features"][0]["counts"].__setitem__("99999", 1),
            lambda b: b["features"][0]["counts"].__setitem__("x", 1),
            lambda b: b["features"][0]["grid"]["points"].__setitem__(0, -1e9),
            lambda b: b["features"][0]["grid"]["points"].__setitem__(0, "a"),
            lambda b: b["features"][0]["grid"]["points"].__setitem__(0, 10**400),
            lambda b: b["features"][0]["grid"]["mass"].append(1),
            lambda b: b["features"][0]["grid"].__setitem__("dtype", "float3"),
            lambda b: b["features"][0]["grid"].__setitem__("kind", "other"),
            lambda b: b["features"][0].__setitem__("name", "weight"),
            lambda b: b["features"][0].__delitem__("grid"),
            lambda b: b["features"].pop(),
            lambda b: b["features"].__setitem__(0, None),
            lambda b: b["scoring"].__setitem__("threshold", 0.9),
            lambda b: b["scoring"].__setitem__("colour", "red"),
            lambda b: b["scoring"].__setitem__("classes", None),
            lambda b: b["tallies"]["confusion"].__setitem__("1/1", 10**6),
            lambda b: b["codes"].__setitem__("c/0/0", 1),
            lambda b: b["codes"].__setitem__("c/0/99", 1),
            lambda b: b["codes"].__setitem__("x/0", 1),
            lambda b: b.__delitem__("codes"),
            lambda b: b.__setitem__("rows", 5),
            lambda b: b.__setitem__("meta", 5),
            lambda b: b.__setitem__("fingerprint", None),
            lambda b: b.__delitem__("fingerprint"),
        ]
        for change in changes:
            body = json.loads(whole)
            change(body)
            saved.write_text(json.dumps(body))
            with pytest.raises(ReferenceFileError, match=r"reference\.json.*save it again"):
                Reference.load(saved)

    def test_a_reference_of_other_features(self, saved):
        """A service that sends other features is told which ones differ."""
        with pytest.raises(ReferenceFileError, match=r"lacks \['weight'\].*has \['age'\]"):
            Reference.load(saved, features=[*(set(DATA) - {"age"}), "weight"])


def test_fingerprint_follows_every_count():
    """Two references that differ in one row have two fingerprints; notes do not count."""
    plain = Reference.fit({"x": [1, 2, 3]})

    assert plain.fingerprint == Reference.fit({"x": [3, 2, 1]}, meta={"a": 1}).fingerprint
    assert plain.fingerprint != Reference.fit({"x": [1, 2, 3, 3]}).fingerprint
    assert plain.fingerprint != Reference.fit({"y": [1, 2, 3]}).fingerprint
    assert plain.fingerprint != Reference.fit({"x": [1, 2, 3]}, outcomes=[0, 1, 1]).fingerprint


class TestFromWindow:
    """Past traffic whose rows are kept can become a reference."""

    @staticmethod
    def window(events, outcomes=()):
        """Make a window that gives these rows."""
        rows = [
            Prediction(
                model="m", request_id=e[3], time=e[4], features=e[5], prediction=e[6],
                probability=e[7],
            )
            for e in events
        ]  # fmt: skip
        told = [
            Outcome(model="m", request_id=str(i), time=START, outcome=value, joined=True)
            for i, value in outcomes
        ]
        return Window("m", "1", START, START + HOUR, rows=lambda *_: (rows, told))

    def test_features_scores_and_outcomes(self):
        """Features are those of all rows, scores and outcomes those of the labelled ones."""
        rng = np.random.default_rng(0)
        x, p = rng.normal(size=100), rng.random(100)
        events = [
            predicted(i, float(p[i]), {"x": float(x[i]), "c": "ab"[i % 2]}) for i in range(100)
        ]
        found = Reference.from_window(self.window(events, [(i, i % 2) for i in range(60)]))
        direct = Reference.fit(
            {"x": x, "c": ["ab"[i % 2] for i in range(100)]},
            predictions=p[:60],
            outcomes=[i % 2 for i in range(60)],
            timestamps=[event[4] for event in events],
        )

        assert found.history is not None
        assert found.fingerprint == direct.fingerprint

    def test_probabilities_beside_labels_are_kept(self):
        """Where a probability was recorded beside the label, the reference is of probabilities."""
        events = [predicted(i, i % 2, {"x": i}, probability=i / 100) for i in range(100)]
        found = Reference.from_window(self.window(events, [(i, i % 2) for i in range(100)]))

        assert sum(found.tallies["score"].values()) == 100

    def test_without_outcomes_it_is_of_features_alone(self):
        """Traffic nobody has labelled makes a reference of the features."""
        found = Reference.from_window(self.window([predicted(i, 0.5, {"x": i}) for i in range(9)]))

        assert (found.features, found.task) == (("x",), "")

    def test_no_rows(self):
        """A window without rows is refused."""
        with pytest.raises(DataError, match="no rows"):
            Reference.from_window(self.window([]))


def test_moments_are_utc():
    """A column of zoned times counts as the same moments in UTC."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = pd.date_range(start, periods=50, freq="h")
    plain = Reference.fit({"t": times})

    assert plain.fingerprint == Reference.fit({"t": times.tz_convert("Asia/Tokyo")}).fingerprint
    assert (
        plain.fingerprint
        == Reference.fit({"t": [start + timedelta(hours=i) for i in range(50)]}).fingerprint
    )
