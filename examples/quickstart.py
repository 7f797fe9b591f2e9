"""The shortest whole path: a reference, predictions, late outcomes, one cycle, one alert.

Run it with `python examples/quickstart.py`; it needs nothing but mlwatch and writes nothing.
"""

import numpy as np

from mlwatch import Monitor, Reference
from mlwatch.stores import MemoryStore


def make_customers(count: int, *, mean_age: float, seed: int) -> dict[str, np.ndarray]:
    """Return made-up customers as a mapping of arrays, one column a feature."""
    rng = np.random.default_rng(seed)
    return {
        "age": rng.normal(mean_age, 10, count).round(),
        "plan": rng.choice(["basic", "plus", "pro"], count, p=[0.6, 0.3, 0.1]),
    }


def probability_of_leaving(customers: dict[str, np.ndarray]) -> np.ndarray:
    """Stand in for a model: the young leave more often."""
    return 1 / (1 + np.exp((customers["age"] - 40) / 10))


def main() -> None:
    # Where the model is trained: count the training data, once.
    trained_on = make_customers(5000, mean_age=45, seed=1)
    scores = probability_of_leaving(trained_on)
    left = np.random.default_rng(2).random(len(scores)) < scores
    reference = Reference.fit(trained_on, predictions=scores, outcomes=left)

    # In the service: younger customers arrive, one request at a time.
    served = make_customers(1000, mean_age=35, seed=3)
    scores = probability_of_leaving(served)
    truth = np.random.default_rng(4).random(len(scores)) < scores
    told = []
    with Monitor(reference, store=MemoryStore(), model="churn", notifiers=[told.append]) as monitor:
        for row, score in enumerate(scores):
            features = {name: column[row] for name, column in served.items()}
            request_id = monitor.record_prediction(features, score, latency_ms=3.0)
            if row % 2:  # for every other customer the truth is known by now
                monitor.record_outcome(request_id, truth[row])
        report = monitor.run_cycle()

    print(report)
    print()
    for alert in told:
        print(f"{alert.state}: {alert.title}")
        print(f"    {alert.why}")


if __name__ == "__main__":
    main()
