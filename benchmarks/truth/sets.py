"""The four sets of real data, each served by a model of its reference period."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from truth.traffic import Traffic, folder, spread

FILES = {
    "bank": ["bank_marketing.csv.gz"],
    "bank, in order": ["bank_marketing.csv.gz"],
    "electricity": ["electricity_nsw.csv.gz"],
    "bike": ["bike_sharing_hour.csv.gz"],
    "acs": [
        "acs_employment_ma_2015_reference.csv.gz",
        "acs_employment_ma_2016_2018_predictions.csv.gz",
        "acs_employment_ma_2016_2018_labels.csv.gz",
    ],
}
"""The files of each set."""

HELD_OUT = 0.3
"""The last share of a reference period, on which a model of the rest of it is judged."""


CLASSES = ("roc_auc", "accuracy")
"""The figures of a classification that tell most."""


@dataclass(frozen=True, slots=True)
class RealSet:
    """Some real data, and what is to be shown of them.

    Args:
        title: What they are.
        task: The model's task.
        figures: The performance figures that tell most, that by which it is judged first.
        traffic: All rows.
        judged: Those of the reference period that were served by a model which did not know them.
        periods: Where each period begins that is judged, and where the last one ends. What lies
            before the first is the reference.
    """

    title: str
    task: str
    figures: tuple[str, ...]
    traffic: Traffic
    judged: slice
    periods: pd.DatetimeIndex

    @property
    def before(self) -> Traffic:
        """The reference period."""
        return self.traffic.between("1990", self.periods[0])

    @property
    def live(self) -> Traffic:
        """What came after it."""
        return self.traffic.between(self.periods[0], self.periods[-1])


def missing(name: str) -> list[str]:
    """Return the files of a set that are not there."""
    return [str(folder() / file) for file in FILES[name] if not (folder() / file).exists()]


def load(name: str) -> RealSet:
    """Return a set by its name."""
    frames = [pd.read_csv(folder() / file) for file in FILES[name]]
    return {
        "bank": lambda rows: bank(rows, in_order=False),
        "bank, in order": lambda rows: bank(rows, in_order=True),
        "electricity": electricity,
        "bike": bike,
        "acs": acs,
    }[name](*frames)


def bank(rows: pd.DataFrame, *, in_order: bool) -> RealSet:
    """Return the calls of a bank; the rows of a month are spread over its days.

    Args:
        rows: The file.
        in_order: Judge the reference on its last months. Otherwise on rows at random, which
            flatters: it does not ask how the model does in another month.
    """
    times = spread(pd.PeriodIndex(rows.pop("contact_month"), freq="M"))
    bought = (rows.pop("y") == "yes").to_numpy(int)
    features = rows.drop(columns=["duration", "month", "day_of_week"])  # a leak, and the calendar
    codes = features.copy()
    for name in features:
        if not pd.api.types.is_numeric_dtype(codes[name]):
            codes[name] = features[name].astype("category").cat.codes
    known = times < "2009-07"
    served, judged = serve(Classifier, codes, bought, known, in_order=in_order)
    title = f"a bank's calls, judged on {'its last months' if in_order else 'rows at random'}"
    traffic = Traffic(features, times, served, bought)
    return RealSet(title, "binary", CLASSES, traffic, judged, _quarters("2009-07", "2011-01"))


def electricity(rows: pd.DataFrame) -> RealSet:
    """Return the prices of electricity, served every six hours."""
    times = pd.DatetimeIndex(pd.to_datetime(rows.pop("timestamp"), utc=True)).floor("6h")
    rises = rows.pop("class").to_numpy(int)
    served, judged = serve(Classifier, rows, rises, times < "1997")
    traffic = Traffic(rows, times, served, rises)
    title, quarters = "electricity in New South Wales", _quarters("1997-01", "1999-01")
    return RealSet(title, "binary", CLASSES, traffic, judged, quarters)


def bike(rows: pd.DataFrame) -> RealSet:
    """Return the bicycles hired, served every six hours."""
    times = pd.DatetimeIndex(pd.to_datetime(rows["timestamp"], utc=True)).floor("6h")
    hired = rows["cnt"].to_numpy(float)
    calendar = ["season", "holiday", "weekday", "workingday", "hr"]
    features = rows[[*calendar, "weathersit", "temp", "atemp", "hum", "windspeed"]]
    served, judged = serve(Regressor, features, hired, times < "2012")
    traffic, quarters = Traffic(features, times, served, hired), _quarters("2012-01", "2013-01")
    return RealSet("hired bicycles", "regression", ("mae",), traffic, judged, quarters)


def acs(reference: pd.DataFrame, later: pd.DataFrame, labels: pd.DataFrame) -> RealSet:
    """Return the census with the predictions it comes with, each person on some day of his year.

    In the order of the file a year ends with those who live in shared quarters.
    """
    rows = pd.concat([reference, later.merge(labels, on="id")])
    rows = rows.groupby("year").sample(frac=1, random_state=0)
    times = spread(pd.PeriodIndex(rows["year"].astype(str), freq="Y"))
    told = ["id", "year", "prediction", "predicted_probability", "employed"]
    features = rows.drop(columns=told)
    features = features.astype(dict.fromkeys(features.columns.drop("AGEP"), str))
    traffic = Traffic(
        features, times, rows["predicted_probability"].to_numpy(), rows["employed"].to_numpy(int)
    )
    years = pd.date_range("2016-01-01", "2019-01-01", freq="YS", tz="UTC")
    return RealSet("the census", "binary", CLASSES, traffic, slice(None), years)


def Classifier() -> Any:  # noqa: N802  made like one
    return HistGradientBoostingClassifier(random_state=0)


def Regressor() -> Any:  # noqa: N802  made like one
    return HistGradientBoostingRegressor(random_state=0)


def serve(
    make: Callable[[], Any],
    features: pd.DataFrame,
    outcomes: np.ndarray,
    known: np.ndarray,
    *,
    in_order: bool = True,
) -> tuple[np.ndarray, slice]:
    """Return what a model of the known rows serves, and which of these it is judged on.

    Those it is judged on are served by a model that does not know them.
    """
    method = "predict_proba" if hasattr(make(), "predict_proba") else "predict"
    count = int(known.sum())
    past, truth = features[:count], outcomes[:count]
    served = getattr(make().fit(past, truth), method)(features)
    judged = slice(round(count * (1 - HELD_OUT)) if in_order else 0, count)
    if in_order:
        model = make().fit(past[: judged.start], truth[: judged.start])
        served[judged] = getattr(model, method)(past[judged])
    else:
        folds = KFold(5, shuffle=True, random_state=0)
        served[judged] = cross_val_predict(make(), past, truth, cv=folds, method=method)
    return (served[:, 1] if served.ndim == 2 else served), judged


def _quarters(since: str, until: str) -> pd.DatetimeIndex:
    return pd.date_range(since, until, freq="QS", tz="UTC")
