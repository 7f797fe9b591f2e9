"""A Django service that watches its model, in one file.

    gunicorn django_service:application
    curl -X POST localhost:8000/predict -d '{"age": 31, "tenure": 4}'
    curl -X POST 'localhost:8000/outcome/<request_id>?left=true'

With `start=False` in the middleware the workers only record, and a sidecar does the rest:

    mlwatch watch django_service:monitor
"""

import json
import math

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from mlwatch import Monitor
from mlwatch.integrations.wsgi import MonitorMiddleware
from mlwatch.stores import SQLiteStore

# With a Reference of the training data as the first argument drift is judged too.
monitor = Monitor(store=SQLiteStore("mlwatch.db"), model="churn", model_version="2.1")


def probability_of_leaving(features: dict[str, float]) -> float:
    """Stand in for a model: the young leave more often."""
    return 1 / (1 + math.exp((features["age"] - 40) / 10))


def predict(request: HttpRequest) -> JsonResponse:
    features = json.loads(request.body)
    with monitor.observe(features) as seen:
        seen.prediction = probability_of_leaving(features)
    return JsonResponse({"request_id": seen.request_id, "probability": seen.prediction})


def outcome(request: HttpRequest, request_id: str) -> JsonResponse:
    monitor.record_outcome(request_id, request.GET["left"] == "true")
    return JsonResponse({})


urlpatterns = [path("predict", predict), path("outcome/<str:request_id>", outcome)]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])
application = MonitorMiddleware(get_wsgi_application(), monitor)
