"""A Flask service that watches its model.

    gunicorn --config gunicorn_conf.py flask_service:app
    curl -X POST localhost:8000/predict -H 'content-type: application/json' -d '{"age": 31, "tenure": 4}'
    curl -X POST 'localhost:8000/outcome/<request_id>?left=true'

With `start=False` in the middleware and in `gunicorn_conf.py` the workers only record, and a
sidecar does the rest:

    mlwatch watch flask_service:monitor
"""  # noqa: E501  a command is to be copied whole

import math

from flask import Flask, request

from mlwatch import Monitor
from mlwatch.integrations.wsgi import MonitorMiddleware
from mlwatch.stores import SQLiteStore

# With a Reference of the training data as the first argument drift is judged too.
monitor = Monitor(store=SQLiteStore("mlwatch.db"), model="churn", model_version="2.1")

app = Flask(__name__)
app.wsgi_app = MonitorMiddleware(app.wsgi_app, monitor)


def probability_of_leaving(features: dict[str, float]) -> float:
    """Stand in for a model: the young leave more often."""
    return 1 / (1 + math.exp((features["age"] - 40) / 10))


@app.post("/predict")
def predict() -> dict[str, str | float]:
    features = request.get_json()
    with monitor.observe(features) as seen:
        seen.prediction = probability_of_leaving(features)
    return {"request_id": seen.request_id, "probability": seen.prediction}


@app.post("/outcome/<request_id>")
def outcome(request_id: str) -> dict[str, str]:
    monitor.record_outcome(request_id, request.args["left"] == "true")
    return {}
