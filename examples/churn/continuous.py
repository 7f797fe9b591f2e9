"""Watch a churn model while it serves: outcomes come late, and alerts are told as they arise.

    python examples/churn/continuous.py                   # 1,200 made-up customers, then it ends
    python examples/churn/continuous.py --customers 9999  # or at any time, by Ctrl-C

After a third of them a campaign wins customers who are new and can leave at any time: they drift
from what the model knows, and what is at stake rises above a line.
"""

import argparse
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

LATER = 200  # so many customers after one was scored it is known whether he left
AT_STAKE = Threshold("revenue_at_risk", above=100_000, severity="critical")


def tell(alert: Alert) -> None:
    """Stand in for the pager: a function of an alert is a notifier."""
    print(f"{alert.state:8} {alert.severity}: {alert.title}", flush=True)


def arriving(count: int) -> pd.DataFrame:
    """Return customers as they come: usual ones, and then those of the campaign."""
    usual = make_customers(count // 3, newcomers=0.1, seed=3)
    campaign = make_customers(count - len(usual), newcomers=0.6, seed=4)
    return pd.concat([usual, campaign], ignore_index=True)


def serve(monitor: Monitor, model: Pipeline, customers: pd.DataFrame) -> None:
    """Answer one request after the other, and tell of each outcome later."""
    waiting: deque[tuple[str, bool]] = deque()
    for customer in customers.itertuples():
        features = {name: getattr(customer, name) for name in FEATURES}
        with monitor.observe(features) as seen:
            seen.prediction = float(model.predict_proba(pd.DataFrame([features]))[0, 1])
        waiting.append((seen.request_id, customer.Churn))
        if len(waiting) > LATER:
            monitor.record_outcome(*waiting.popleft())


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch a churn model while it serves.")
    parser.add_argument("--customers", type=int, default=1200, help="serve so many")
    customers = arriving(parser.parse_args().customers)
    model, reference = train(make_customers(5000, newcomers=0.1, seed=1))
    with Monitor(
        reference,
        store=MemoryStore(),
        model="churn",
        collectors=[*defaults.collectors(), RETENTION],
        rules=[*defaults.rules(), AT_STAKE],
        notifiers=[tell],
        every=timedelta(seconds=1),
    ) as monitor:
        monitor.start()  # ingest and cycles, in a thread of this process
        with suppress(KeyboardInterrupt):
            serve(monitor, model, customers)
        print(monitor.run_cycle())


if __name__ == "__main__":
    main()
