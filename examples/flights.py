"""Play ten months of real flights through a monitor, one prediction at a time.

A logistic regression learns from the flights that left New York in January and February 2013 which
ones arrive more than 15 minutes late. From March to December it predicts every flight at its
scheduled departure, and each outcome is told when that flight has landed; of a cancelled one it
never is. A clock set by hand goes from event to event, and at every midnight one cycle looks back
on the last 30 days.

Two simplifications: the local times of the data are taken as UTC; and as the data hold a flight's
delay but not its schedule, it is taken to land 45 minutes and a minute for every 8 miles after its
scheduled departure, plus the delay.

The run can be stopped at any moment, even by SIGKILL: the next one on the same database goes on
from the last midnight whose cycle had finished. Where the data come from: `data/README.md`.
"""

from __future__ import annotations

import argparse
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlwatch import Monitor, Reference
from mlwatch.alerting import Drifted, Threshold
from mlwatch.records import Alert, CycleReport, Table
from mlwatch.stores import SQLiteStore
from mlwatch.testing import ManualClock

DATA = Path(__file__).parent / "data" / "nyc_flights_sample.csv.gz"
CATEGORIES = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "hour", "temp", "wind_speed", "precip", "visib"]
FEATURES = CATEGORIES + NUMBERS
MODEL = "flights"
START, END = datetime(2013, 3, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
Call = tuple[datetime, Callable[[], object]]


def load_flights() -> pd.DataFrame:
    """Return all flights in order of scheduled departure."""
    flights = pd.read_csv(DATA)
    departure = pd.to_datetime(flights.pop("scheduled_departure"), utc=True)
    minutes = 45 + flights["distance"] / 8 + flights["arr_delay"]
    return flights.assign(
        departure=departure,
        landing=departure + pd.to_timedelta(minutes.round(), unit="min"),
        hour=departure.dt.hour,
        landed=flights["arr_delay"].notna(),
        late=(flights["arr_delay"] > 15).astype(int),
        request_id=departure.dt.strftime("%Y-%m-%d-") + flights.index.map("{:05d}".format),
    )


def train(flights: pd.DataFrame) -> Pipeline:
    """Fit the model to those of the flights that have landed."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    names = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((numbers, NUMBERS), (names, CATEGORIES))
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))
    landed = flights.query("landed")
    return model.fit(landed[FEATURES], landed["late"])


def fit_reference(history: pd.DataFrame) -> Reference:
    """Fit the reference to all features, and to predictions of flights unknown to their model."""
    # A model's predictions of its own training rows would flatter it: 70% of them predict 30%.
    cut = int(len(history) * 0.7)
    known = history[cut:].query("landed")
    predictions = train(history[:cut]).predict_proba(known[FEATURES])[:, 1]
    return Reference.fit(
        history[FEATURES],
        timestamps=history["departure"],
        predictions=predictions,
        outcomes=known["late"],
        task="binary",
    )


def schedule(monitor: Monitor, flights: pd.DataFrame, since: datetime) -> deque[Call]:
    """Return what a service would tell the monitor, and when: departures and landings, by time.

    A flight that left before `since` and lands after it is there with its landing alone.
    """
    calls: list[Call] = []
    rows = flights[FEATURES].to_dict("records")
    for flight, features in zip(flights.itertuples(), rows, strict=True):
        key, time = flight.request_id, flight.departure.to_pydatetime()
        if time >= since:
            tell = partial(monitor.record_prediction, features, flight.probability)
            calls.append((time, partial(tell, request_id=key, timestamp=time)))
        if flight.landed and flight.landing >= since:
            time = flight.landing.to_pydatetime()
            calls.append((time, partial(monitor.record_outcome, key, flight.late, timestamp=time)))
    return deque(sorted(calls, key=lambda timed: timed[0]))


def play(
    monitor: Monitor, clock: ManualClock, flights: pd.DataFrame, until: datetime
) -> Iterator[CycleReport]:
    """Record one event after the other, and yield the report of every midnight."""
    queue = schedule(monitor, flights, since=clock())
    midnight = clock() + DAY
    while midnight <= until:
        while queue and queue[0][0] < midnight:
            time, call = queue.popleft()
            clock.advance(time - clock())
            call()
        clock.advance(midnight - SECOND - clock())  # the window ends with the minute: at midnight
        yield monitor.run_cycle()
        midnight += DAY


def print_alert(alert: Alert) -> None:
    """Tell of an alert in one line: a plain function is a notifier."""
    state = "RAISED" if alert.state == "firing" else alert.state
    print(f"  {alert.time:%d %b}  {state:8}  {alert.severity}: {alert.title}")


def print_first_day(report: CycleReport) -> None:
    """Say what one day of flights is not enough to judge, and why."""
    auc = report["roc_auc"]
    print(f"After one day, {report['prediction_count'].value:.0f} predictions:")
    print(f"  false alarms: {report['backtest_alarms'].why}")
    print(f"  roc_auc: {auc.why or f'somewhere between {auc.low:.2f} and {auc.high:.2f}'}")
    lacking = {result.feature: result.why for result in report.drift if result.drifted is None}
    for why in dict.fromkeys(lacking.values()):
        print(f"  {', '.join(name for name in lacking if lacking[name] == why)}: {why}")


def print_month(report: CycleReport) -> None:
    """Print one line about the 30 days up to the end of a month."""
    auc = report["roc_auc"]
    drifted = sorted({drift.feature for drift in report.drift if drift.drifted})
    print(
        f"{report.time - DAY:%b}: {report['prediction_count'].value:,.0f} predictions,"
        f" {report['label_coverage'].value:.0%} labelled;"
        f" AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f});"
        f" late: {report['prediction_mean'].value:.3f} predicted,"
        f" {report['outcome_rate'].value:.3f} true; drifted: {', '.join(drifted) or 'nothing'}"
    )


def forget(database: Path) -> None:
    """Delete what an earlier run left behind."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    shutil.rmtree(f"{database}.spool", ignore_errors=True)


def main() -> None:
    """Train, save the reference, and play the flights from where an earlier run had got."""
    parser = argparse.ArgumentParser(description="Play real flights through a monitor.")
    parser.add_argument("--database", type=Path, default=Path("build/demo/flights.db"))
    parser.add_argument("--fresh", action="store_true", help="delete the old database first")
    parser.add_argument("--days", type=int, default=(END - START).days, help="play so many days")
    arguments = parser.parse_args()
    database, until = arguments.database, START + arguments.days * DAY
    database.parent.mkdir(parents=True, exist_ok=True)
    if arguments.fresh:
        forget(database)

    flights = load_flights()
    history = flights[flights["departure"] < START]
    traffic = flights[flights["departure"] >= START]
    probability = train(history).predict_proba(traffic[FEATURES])[:, 1]
    traffic = traffic.assign(probability=probability)
    fit_reference(history).save(database.with_suffix(".reference.json"))

    store = SQLiteStore(database)
    cycles = (metric.time for metric in store.read(Table.metrics, model=MODEL))
    clock = ManualClock(start=max(cycles, default=START))
    with Monitor(
        Reference.load(database.with_suffix(".reference.json")),
        store=store,
        model=MODEL,
        model_version="1",
        notifiers=[print_alert],
        rules=[Threshold("roc_auc", below=0.60, clear=0.62, use="upper"), Drifted()],
        window=timedelta(days=30),
        clock=clock,
    ) as monitor:
        for report in play(monitor, clock, traffic, until):
            if report.time == START + DAY:
                print_first_day(report)
            if report.time.day == 1:
                print_month(report)

    query = "SELECT date(time), round(value, 3) FROM metrics WHERE name = 'roc_auc' ORDER BY time"
    print(f'Everything is in {database}; try:\n  sqlite3 {database} "{query}"')


if __name__ == "__main__":
    main()
