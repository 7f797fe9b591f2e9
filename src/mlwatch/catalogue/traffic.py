"""What comes in and what is said to it: predictions, requests, lines of the log."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
    MetricSpec("prediction_count", "rows", "gauge", "", "Predictions recorded in the window."),
    MetricSpec("prediction_rate", "rows/s", "gauge", "", "Predictions recorded a second."),
    MetricSpec(
        "volume_ratio",
        "ratio",
        "gauge",
        "",
        "Predictions of the last closed hour, all versions, as a multiple of what is usual then.",
    ),
    MetricSpec(
        "seconds_since_prediction",
        "s",
        "gauge",
        "down",
        "Time since the last prediction of any version, to the minute.",
    ),
    MetricSpec(
        "kept_share",
        "share",
        "gauge",
        "up",
        "Share of the predictions that found room in memory; given where some did not.",
    ),
    MetricSpec(
        "outcomes_without_prediction",
        "rows",
        "gauge",
        "down",
        "Outcomes of the window's time for an id that no prediction has, so far.",
    ),
    MetricSpec("prediction_mean", "score", "gauge", "", "Mean of the scores that were served."),
    MetricSpec("prediction_std", "score", "gauge", "", "Standard deviation of the scores."),
    MetricSpec("positive_rate", "share", "gauge", "", "Share of predictions that are positive."),
    MetricSpec("class_share", "share", "gauge", "", "Share of predictions of a class.", ("class",)),
    MetricSpec(
        "unexpected_share",
        "share",
        "gauge",
        "down",
        "Share of what was served that is none of the model's classes, or no number.",
    ),
    MetricSpec(
        "error_rate", "share", "gauge", "down", "Share of predictions recorded with an error."
    ),
    MetricSpec("latency_mean_ms", "ms", "gauge", "down", "Mean latency."),
    MetricSpec(
        "latency_ms",
        "ms",
        "gauge",
        "down",
        "Latency at a quantile, within 1% of the exact one.",
        ("quantile",),
    ),
    MetricSpec("request_count", "requests", "gauge", "", "Requests of the service.", ("endpoint",)),
    MetricSpec(
        "request_error_rate",
        "share",
        "gauge",
        "down",
        "Share of requests answered with a status from 500 up.",
        ("endpoint",),
    ),
    MetricSpec(
        "request_latency_mean_ms",
        "ms",
        "gauge",
        "down",
        "Mean latency of requests.",
        ("endpoint",),
    ),
    MetricSpec(
        "request_latency_ms",
        "ms",
        "gauge",
        "down",
        "Latency of requests at a quantile, within 1% of the exact one.",
        ("endpoint", "quantile"),
    ),
    MetricSpec(
        "log_count", "lines", "gauge", "", "Lines of the service's log, by level.", ("level",)
    ),
    MetricSpec(
        "log_error_share",
        "share",
        "gauge",
        "down",
        "Share of the lines of the service's log that are at ERROR or above.",
    ),
    MetricSpec(
        "version_difference",
        "difference",
        "gauge",
        "",
        "A metric of another model version less that of the monitor's own.",
        ("metric", "version"),
    ),
)
