"""Alibi Detect: its KS detector, with its own Bonferroni correction, on each day."""

import numpy as np
from alibi_detect.cd import KSDrift

from alarms.answer import Answer
from alarms.peers.exchange import serve
from alarms.scenario import Scenario
from alarms.traffic import DAY
from alarms.windows import Check, watch


def methods(scenario: Scenario) -> dict[str, Answer]:
    return {"alibi-detect, KS": watch(scenario, DAY, fit)}


def fit(reference: np.ndarray, features: int) -> Check:
    # It corrects for the columns it is given: where these are some of the features, so that the
    # threshold of each is what all of them together would have had.
    detector = KSDrift(reference, p_val=0.05 * reference.shape[1] / features)

    def check(rows: np.ndarray) -> np.ndarray:
        data = detector.predict(rows)["data"]
        return data["p_val"] < data["threshold"]

    return check


if __name__ == "__main__":
    serve("alibi-detect", methods)
