"""Watch a churn model while it serves: outcomes come late, and alerts are told as they arise.

    python examples/churn/continuous.py                # made-up customers, ends after 12 seconds
    python examples/churn/continuous.py --seconds 60   # or at any time, by Ctrl-C

A month takes half a second here: so long after a customer was scored it is known whether he left.
A third of the way a campaign wins customers who are new and can leave at any time: they drift from
what the model knows, and the money that is at stake rises above a line.
"""

import argparse
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta

import pandas as pd
from basic import FEATURES, RETENTION, make_customers, train
from sklearn.pipeline import Pipeline

from mlwatch import Monitor, defaults
from mlwatch.alerting import Threshold
from mlwatch.records import Alert
from mlwatch.stores import MemoryStore

MONTH = 0.5  # seconds
AT_STAKE = Threshold("revenue_at_risk", above=200_000, severity="critical")


def tell(alert: Alert) -> None:
    """Stand in for the pager: a function of an alert is a notifier."""
    print(f"{alert.state:8} {alert.severity}: {alert.title}", flush=True)


def serve(monitor: Monitor, model: Pipeline, seconds: float) -> None:
    """Answer one request after the other, and tell of each outcome a month later."""
    begin = now = time.monotonic()
    waiting: deque[tuple[float, str, bool]] = deque()
    calm = make_customers(20_000, newcomers=0.1, seed=3).itertuples()
    campaign = make_customers(20_000, newcomers=0.6, seed=4).itertuples()
    while now < begin + seconds:
        customer = next(calm if now < begin + seconds / 3 else campaign)
        features = {name: getattr(customer, name) for name in FEATURES}
        with monitor.observe(features) as seen:
            seen.prediction = float(model.predict_proba(pd.DataFrame([features]))[0, 1])
        waiting.append((now + MONTH, seen.request_id, customer.Churn))
        while waiting[0][0] <= now:
            _, request_id, left = waiting.popleft()
            monitor.record_outcome(request_id, left)
        now = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch a churn model while it serves.")
    parser.add_argument("--seconds", type=float, default=12, help="end after so long")
    seconds = parser.parse_args().seconds
    model, reference = train(make_customers(5000, newcomers=0.1, seed=1))
    with Monitor(
        reference,
        store=MemoryStore(),
        model="churn",
        collectors=[*defaults.collectors(), RETENTION],
        rules=[*defaults.rules(), AT_STAKE],
        notifiers=[tell],
        every=timedelta(seconds=2),
    ) as monitor:
        monitor.start()  # ingest and cycles, in a thread of this process
        with suppress(KeyboardInterrupt):
            serve(monitor, model, seconds)
        print(monitor.run_cycle())


if __name__ == "__main__":
    main()
