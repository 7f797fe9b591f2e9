"""A FastAPI service that watches its model.

    uvicorn fastapi_service:app
    curl -X POST localhost:8000/predict -H 'content-type: application/json' -d '{"age": 31, "tenure": 4}'
    curl -X POST 'localhost:8000/outcome/<request_id>?left=true'

With `start=False` in the middleware the service only records, and a sidecar does the rest:

    mlwatch watch fastapi_service:monitor
"""  # noqa: E501  a command is to be copied whole

import math

from fastapi import FastAPI

from mlwatch import Monitor
from mlwatch.integrations.asgi import MonitorMiddleware
from mlwatch.stores import SQLiteStore

# With a Reference of the training data as the first argument drift is judged too.
monitor = Monitor(store=SQLiteStore("mlwatch.db"), model="churn", model_version="2.1")

app = FastAPI()
app.add_middleware(MonitorMiddleware, monitor=monitor)


def probability_of_leaving(features: dict[str, float]) -> float:
    """Stand in for a model: the young leave more often."""
    return 1 / (1 + math.exp((features["age"] - 40) / 10))


@app.post("/predict")
def predict(features: dict[str, float]) -> dict[str, str | float]:
    with monitor.observe(features) as seen:
        seen.prediction = probability_of_leaving(features)
    return {"request_id": seen.request_id, "probability": seen.prediction}


@app.post("/outcome/{request_id}")
def outcome(request_id: str, left: bool) -> None:
    monitor.record_outcome(request_id, left)
