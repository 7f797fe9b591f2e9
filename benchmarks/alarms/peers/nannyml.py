"""NannyML: univariate drift by its default method and thresholds, on daily chunks."""

import nannyml
import numpy as np
import pandas as pd

from alarms.answer import Answer
from alarms.peers.exchange import serve
from alarms.scenario import Scenario
from alarms.traffic import DAY

FIRST = pd.Timestamp("2024-01-01")  # a Monday


def methods(scenario: Scenario) -> dict[str, Answer]:
    alerts = daily_alerts(scenario.reference, scenario.stream)
    found = daily_alerts(scenario.reference_columns(), scenario.shifted_columns())
    after = {hour: columns for hour, columns in found.items() if hour > scenario.onset}
    shifted = {
        size: tuple(hour for hour, columns in after.items() if column in columns)
        for column, size in enumerate(scenario.sizes)
    }
    return {"nannyml": Answer(alerts, shifted)}


def daily_alerts(reference: np.ndarray, stream: np.ndarray) -> dict[int, tuple[int, ...]]:
    """Give the columns with an alert, by the hour at which their day has ended."""
    names = [f"feature_{column}" for column in range(reference.shape[2])]
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=names, timestamp_column_name="time", chunk_period="D"
    )
    calculator.fit(frame(reference, names, 0))
    # Whole days: a day that has not ended yet is not judged.
    whole = stream[: len(stream) // DAY * DAY]
    result = calculator.calculate(frame(whole, names, len(reference)))
    table = result.filter(period="analysis").to_df()
    alerts = np.column_stack(
        [table[name].xs("alert", axis=1, level=-1).any(axis=1) for name in names]
    )
    return {
        DAY * (day + 1): tuple(np.flatnonzero(alerts[day]).tolist())
        for day in np.flatnonzero(alerts.any(axis=1)).tolist()
    }


def frame(hours: np.ndarray, names: list[str], begin: int) -> pd.DataFrame:
    count, rows, columns = hours.shape
    table = pd.DataFrame(hours.reshape(-1, columns), columns=names)
    table["time"] = FIRST + pd.to_timedelta(np.repeat(np.arange(begin, begin + count), rows), "h")
    return table


if __name__ == "__main__":
    serve("nannyml", methods)
