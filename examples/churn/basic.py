"""Watch a churn model: one batch of customers is scored, one cycle is run, its report printed.

python examples/churn/basic.py             # made-up customers, by the truth in `make_customers`
python examples/churn/basic.py telco.csv   # columns tenure, MonthlyCharges, Contract, Churn
"""

import sys

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlwatch import Monitor, Reference, defaults
from mlwatch.collectors import RetentionValue
from mlwatch.stores import MemoryStore

FEATURES = ["tenure", "MonthlyCharges", "Contract"]
CONTRACTS = ["Month-to-month", "One year", "Two year"]
RETENTION = RetentionValue(customer_value=780.0, contact_cost=25.0, success_rate=0.3)


def make_customers(count: int, *, newcomers: float, seed: int) -> pd.DataFrame:
    """Return customers of whom a share has just come, all of these on a monthly contract."""
    rng = np.random.default_rng(seed)
    new = rng.random(count) < newcomers
    tenure = np.where(new, rng.integers(0, 4, count), rng.integers(0, 73, count))
    charges = rng.uniform(18, 119, count).round(2)
    years = np.where(new, 0, rng.choice(3, count, p=[0.5, 0.2, 0.3]))
    odds = 0.03 * (charges - 65) - 0.05 * (tenure - 20) - 1.5 * years
    left = rng.random(count) < 1 / (1 + np.exp(-odds))
    columns = [tenure, charges, np.array(CONTRACTS)[years], left]
    return pd.DataFrame(dict(zip([*FEATURES, "Churn"], columns, strict=True)))


def load_customers(path: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return customers of a CSV file to learn from, and 2,000 others as the batch to score."""
    rows = pd.read_csv(path).sample(frac=1, random_state=0, ignore_index=True)
    rows["Churn"] = rows["Churn"] == "Yes"
    return rows[2000:], rows[:2000]


def train(customers: pd.DataFrame) -> tuple[Pipeline, Reference]:
    """Fit the model to two thirds, and the reference to what it says of the others."""
    columns = make_column_transformer((OneHotEncoder(), ["Contract"]), remainder=StandardScaler())
    cut = len(customers) * 2 // 3
    known, others = customers[:cut], customers[cut:]
    model = make_pipeline(columns, LogisticRegression()).fit(known[FEATURES], known["Churn"])
    scores = model.predict_proba(others[FEATURES])[:, 1]
    return model, Reference.fit(
        customers[FEATURES], predictions=scores, outcomes=others["Churn"], task="binary"
    )


def main() -> None:
    if len(sys.argv) > 1:
        history, batch = load_customers(sys.argv[1])
    else:
        history = make_customers(5000, newcomers=0.1, seed=1)
        batch = make_customers(2000, newcomers=0.4, seed=2)
    model, reference = train(history)
    with Monitor(
        reference,
        store=MemoryStore(),
        model="churn",
        collectors=[*defaults.collectors(), RETENTION],
        notifiers=[],  # the report names what fires
    ) as monitor:
        ids = monitor.record_batch(batch[FEATURES], model.predict_proba(batch[FEATURES])[:, 1])
        monitor.record_outcomes(ids[:1000], batch["Churn"][:1000])  # the others will show later
        print(monitor.run_cycle())


if __name__ == "__main__":
    main()
