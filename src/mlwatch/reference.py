"""What normal looks like: the counts of the data a model was trained on, in one small file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlwatch.errors import ConfigurationError, DataError, ReferenceFileError
from mlwatch.profile import Distribution, History, Profile, RankCodes, fit_grid, grid_from_plain
from mlwatch.profile.coarse import place
from mlwatch.profile.codes import coded
from mlwatch.profile.grid import halves
from mlwatch.profile.values import listed
from mlwatch.records import Tallies, digest
from mlwatch.records.redact import Redact
from mlwatch.redaction import Redacted, fit_columns, make_redactor
from mlwatch.scoring import Scoring, fit_scoring, read_predictions
from mlwatch.training import PREDICTION, read_columns, read_hours

FORMAT = "mlwatch-reference"
VERSION = 5

_HISTORY_DAYS = 8 * 7


class _Rows(Protocol):
    """What `from_window` needs of a window."""

    def frame(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Reference:
    """The counts of what a model was trained on; no raw rows.

    Args:
        profile: The features' distributions.
        scoring: How predictions and outcomes are read and counted.
        tallies: The counts of the predictions and outcomes it was fitted with.
        meta: Free notes, such as a model URI or a run id. A "model" in it must be the monitor's.
        history: Coarse counts of the hours of the data, where it has timestamps.
        redacted: What was redacted before anything was counted.
    """

    profile: Profile
    scoring: Scoring = field(default_factory=Scoring.unknown)
    tallies: Tallies = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    history: History | None = None
    redacted: Redacted | None = None

    @classmethod
    def fit(
        cls,
        data: Any,
        *,
        predictions: Any = None,
        outcomes: Any = None,
        task: str | None = None,
        timestamps: Any = None,
        classes: Sequence[Hashable] | None = None,
        decision_threshold: float = 0.5,
        min_count: int = 10,
        meta: Mapping[str, Any] | None = None,
        redact: Redact | None = None,
        redact_key: bytes | str | None = None,
    ) -> Reference:
        """Count the data a model was trained on.

        Args:
            data: A DataFrame, or a mapping of arrays of equal length: one column a feature.
            predictions: What the model served for rows it had not been trained on, shape (m,):
                for a binary task the probability of the positive class or the label, for
                multiclass labels or probabilities of shape (m, number of classes), else numbers.
                What scikit-learn's `predict_proba` gives is also taken for a binary task.
            outcomes: The truth about the same rows, shape (m,).
            task: "binary", "multiclass" or "regression"; inferred from the outcomes when not said:
                two values are classes, so are more texts (or predictions of shape (m, classes)),
                other numbers are a regression.
            timestamps: When each row of the data was seen, shape (n,); times without a zone are
                UTC. With 14 whole days of UTC or more the reference knows what is usual from one
                day to the next, by the last 56 days that have rows; a first and a last day that
                are cut short are no example. Predictions take part where there is one a row of the
                data.
            classes: The classes, the positive one last; sorted outcomes when not said.
            decision_threshold: A binary score from here up is a positive prediction.
            min_count: Categories seen fewer times are pooled, never written.
            meta: Free notes kept in the file.
            redact: What the monitor does to features, as in `CaptureOptions(redact=...)`: the data
                is counted after it. The file says what was done and to which columns, and has the
                names of functions.
            redact_key: The monitor's secret, where anything is hashed; the file has a digest by
                which another is noticed.

        Raises:
            ConfigurationError: An argument cannot be right.
            DataError: The data cannot be counted; the message names the column.
        """
        if not 0 < decision_threshold < 1:
            raise ConfigurationError(
                f"decision_threshold={decision_threshold!r}: must lie between 0 and 1"
            )
        if min_count < 1:
            raise ConfigurationError(f"min_count={min_count!r}: must be at least 1")
        frame, redacted = fit_columns(read_columns(data), redact, redact_key)
        frame = read_columns(frame)
        grids = {name: fit_grid(name, frame[name], min_count=min_count) for name in frame}
        scoring, tallies = fit_scoring(predictions, outcomes, task, classes, decision_threshold)
        # Columns of many rare categories are counted on the rows that did not choose their
        # vocabulary, missing values too: a reference's own distribution is of half the rows then.
        counted = Profile.count(grids, frame)
        found = {name: _own(each, frame[name]) for name, each in counted.distributions.items()}
        profile = Profile(counted.rows, found, counted.codes)
        reference = cls(profile, scoring, tallies, dict(meta or {}), redacted=redacted)
        if timestamps is None:
            return reference
        past = reference._past(frame, predictions, timestamps, counted.rows)
        return replace(reference, history=past)

    @classmethod
    def from_window(cls, window: _Rows, **options: Any) -> Reference:
        """Make a reference of the rows of past traffic, such as `monitor.window(since, until)`.

        Args:
            window: The window; its rows must still be kept.
            **options: As for `fit`, without predictions and outcomes. Timestamps are those of the
                rows. `redact` and `redact_key` say how the rows were redacted when they were
                recorded; nothing is redacted again. Not said: as the window's own reference.

        Raises:
            DataError: The window holds no rows.
        """
        frame = window.frame()
        if not len(frame):
            raise DataError("the window holds no rows: choose one whose rows are still kept")
        served = frame[~frame["prediction"].isna()]
        known = served[~served["outcome"].isna()]
        features = frame.drop(columns=[name for name in frame if not name.startswith("feature/")])
        features.columns = [name.removeprefix("feature/") for name in features]
        if len(known):
            shares = known["probability"].tolist()
            scored = all(isinstance(share, float) and 0 <= share <= 1 for share in shares)
            predictions = shares if scored else known["prediction"]
            options |= {"predictions": predictions, "outcomes": known["outcome"]}
        key = options.pop("redact_key", None)
        redacted = getattr(getattr(window, "reference", None), "redacted", None)
        if "redact" in options:
            redacted = Redacted.by(make_redactor(options.pop("redact"), key))
        found = cls.fit(features, **{"timestamps": frame["time"]} | options)
        return replace(found, redacted=redacted)

    @property
    def features(self) -> tuple[str, ...]:
        """The features' names, in the order of the data."""
        return tuple(self.profile.distributions)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what a service hands over, in the order of the data: before redaction."""
        return (self.redacted and self.redacted.columns) or self.features

    @property
    def has_outcomes(self) -> bool:
        """Whether outcomes of predictions were counted, of classes or of numbers."""
        return bool(self.tallies.get("outcome") or self.tallies.get("residual"))

    @property
    def task(self) -> str:
        """Return the task, or "" when there were no outcomes."""
        return self.scoring.task

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the reference; panes counted under another are never mixed with its own."""
        return digest(msgspec.json.encode(self._body()))

    def distribution(self, name: str) -> Distribution:
        """Return the distribution of one feature.

        Raises:
            DataError: There is no such feature.
        """
        return self.profile.distribution(name)

    @cached_property
    def predictions(self) -> Distribution | None:
        """How the model's predictions were spread: scores where there are some, else classes."""
        return self.count_predictions(self.tallies)

    def count_predictions(self, tallies: Tallies) -> Distribution | None:
        """Return how the predictions of a window are spread, on the grid of `predictions`."""
        scoring = self.scoring
        if scoring.grid is not None and self.tallies.get("score"):
            return Distribution.from_tally(PREDICTION, scoring.grid, tallies.get("score", {}))
        if not self.tallies.get("label"):
            return None
        labels = scoring.labels_grid(self.tallies["label"])
        cells = {str(label): str(cell) for cell, label in enumerate(labels.categories)}
        tally = {cells[label]: n for label, n in tallies.get("label", {}).items()}
        return Distribution.from_tally(PREDICTION, labels, tally)

    def _past(self, frame: Mapping[str, Any], served: Any, timestamps: Any, rows: int) -> History:
        hours = read_hours(timestamps, rows)
        columns = {
            name: _places(found, frame[name]) for name, found in self.profile.distributions.items()
        }
        known = self.predictions
        if known is not None and served is not None and len(served) == rows:
            values = read_predictions(self.scoring, served, scores=known.kind == "numeric")
            columns[PREDICTION] = place(known.grid, values)
        days = hours // 24
        recent = days >= np.unique(days)[-_HISTORY_DAYS:][0]
        kept = {name: (places[recent], size) for name, (places, size) in columns.items()}
        return History.of_rows(hours[recent], kept).of_whole_days()

    def count(self, frame: Any) -> Profile:
        """Count a DataFrame, or a mapping of arrays of equal length, on the reference's grids.

        A reference that was fitted under redaction has no key: redact before, as in
        `reference.count(Redactor(redact, redact_key).columns(frame)[0])`.

        Raises:
            DataError: A column is missing, or the columns are of unequal length.
        """
        return Profile.count(self.profile.grids, frame)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the reference as one JSON file, at once or not at all.

        Raises:
            ReferenceFileError: The file cannot be written.
        """
        target = Path(path)
        try:
            body = self._body() | {"meta": dict(self.meta), "fingerprint": self.fingerprint}
            text = msgspec.json.format(msgspec.json.encode(body), indent=1)
            partial = target.with_name(f".{target.name}.{os.getpid()}.part")
            try:
                partial.write_bytes(text)
                partial.replace(target)
            finally:
                with suppress(OSError):
                    partial.unlink()
        except (OSError, TypeError, ValueError) as error:
            raise ReferenceFileError(f"cannot write the reference {target}: {error}") from error

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, features: Collection[str] | None = None
    ) -> Reference:
        """Read a reference file.

        Args:
            path: The file that `save` wrote.
            features: The features the service sends; a reference of others is refused.

        Raises:
            ReferenceFileError: The file cannot be read, is not a reference, was changed, comes
                from a newer mlwatch, or is of other features.
        """
        body = _read(Path(path))
        try:
            reference = cls._from_body(body)
            fingerprint = reference.fingerprint
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ReferenceFileError(
                f"{path}: a reference of version {VERSION} that lacks or garbles a part "
                f"({type(error).__name__}: {error}): save it again with Reference.fit(...).save"
            ) from error
        if fingerprint != body.get("fingerprint"):
            raise ReferenceFileError(
                f"{path}: the content does not match its fingerprint, so it was changed after it "
                "was saved: save it again with Reference.fit(...).save"
            )
        if features is not None and set(features) != set(reference.columns):
            lacks = sorted(set(features) - set(reference.columns))
            extra = sorted(set(reference.columns) - set(features))
            raise ReferenceFileError(
                f"{path} is a reference of other features: it lacks {lacks} and has {extra} "
                "beyond those asked for: load the file that was saved with this model"
            )
        return reference

    def _body(self) -> dict[str, Any]:
        scoring = self.scoring
        return {
            "format": FORMAT,
            "version": VERSION,
            "rows": self.profile.rows,
            "features": [
                {
                    "name": name,
                    "grid": found.grid.to_plain(),
                    "counts": found.to_tally(),
                }
                for name, found in self.profile.distributions.items()
            ],
            "scoring": {
                "task": scoring.task,
                "classes": list(scoring.classes),
                "threshold": scoring.threshold,
                "grid": None if scoring.grid is None else scoring.grid.to_plain(),
                "center": scoring.center,
                "scale": scoring.scale,
            },
            "codes": self.profile.codes.to_tally(),
            "tallies": {name: dict(tally) for name, tally in self.tallies.items()},
            "history": None if self.history is None else self.history.to_plain(),
            "redacted": None if self.redacted is None else self.redacted.to_plain(),
        }

    @classmethod
    def _from_body(cls, body: Mapping[str, Any]) -> Reference:
        found = {}
        for feature in body["features"]:
            grid = grid_from_plain(feature["grid"])
            name = feature["name"]
            found[name] = Distribution.from_tally(name, grid, feature["counts"])
        plain = dict(body["scoring"])
        score_grid = None if plain["grid"] is None else grid_from_plain(plain["grid"])
        scoring = Scoring(**plain | {"grid": score_grid, "classes": tuple(plain["classes"])})
        grids = {name: each.grid for name, each in found.items()}
        codes = RankCodes.from_tally(coded(grids), body["codes"])
        profile = Profile(body["rows"], found, codes)
        past = None if body["history"] is None else History.from_plain(body["history"])
        redacted = Redacted.from_plain(body["redacted"])
        return cls(profile, scoring, body["tallies"], dict(body["meta"]), past, redacted)


FindReference = Callable[[str], Reference | None]
"""The reference of a model version, if there is one."""


def _read(path: Path) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ReferenceFileError(
            f"cannot read the reference {path}: {error.strerror or error}: "
            "save one with Reference.fit(...).save where the model is trained"
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ReferenceFileError(f"{path} is not a reference of mlwatch: {error}") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ReferenceFileError(f'{path} is not a reference of mlwatch: no "format": "{FORMAT}"')
    if body.get("version") != VERSION:
        raise ReferenceFileError(
            f"{path} has format version {body.get('version')!r} and this mlwatch reads {VERSION}: "
            "upgrade mlwatch, or save the reference again with this one"
        )
    return body


def _own(found: Distribution, column: Any) -> Distribution:
    if int(found.counts.sum()) == int(found.grid.mass.sum()):
        return found
    values = listed(column)
    return Distribution.count(found.name, found.grid, [values[i] for i in halves(len(values))[1]])


def _places(found: Distribution, column: Any) -> tuple[NDArray[np.intp], int]:
    """Return the place of each row in the coarse counts; -1 for rows that were not counted."""
    values = listed(column)
    places, size = place(found.grid, values)
    if found.total < len(values):
        places[halves(len(values))[0]] = -1
    return places, size
