"""Evidently: the drift test it chooses for each column, and its verdict on the data set.

Its preset is this test of every column and the share of columns that failed, drawn three times
over; the columns alone give the same verdicts at less than half of the cost.
"""

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

from alarms.answer import Answer
from alarms.peers.exchange import serve
from alarms.scenario import Scenario
from alarms.traffic import DAY
from alarms.windows import Check, sample, watch

# A report against all rows takes seconds. More than 1,000 rows get the same test as all of them.
REFERENCE_ROWS = 5_000
DRIFT_SHARE = 0.5  # the preset's default


def methods(scenario: Scenario) -> dict[str, Answer]:
    columns = watch(scenario, DAY, fit)
    half = DRIFT_SHARE * scenario.features
    dataset = {hour: named for hour, named in columns.quiet.items() if len(named) >= half}
    return {
        "evidently, any column": columns,
        # One shifted column of twenty is not half of them: there is nothing to find.
        "evidently, data set": Answer(dataset, {}),
    }


def fit(reference: np.ndarray, _features: int) -> Check:
    names = [f"feature_{column}" for column in range(reference.shape[1])]
    definition = DataDefinition(numerical_columns=names)
    report = Report([ValueDrift(column=name) for name in names], include_tests=True)

    def dataset(rows: np.ndarray) -> Dataset:
        return Dataset.from_pandas(pd.DataFrame(rows, columns=names), data_definition=definition)

    kept = dataset(sample(reference, REFERENCE_ROWS))

    def check(rows: np.ndarray) -> np.ndarray:
        tests = report.run(dataset(rows), kept).dict()["tests"]
        return np.array([test["status"].value == "FAIL" for test in tests])

    return check


if __name__ == "__main__":
    serve("evidently", methods)
