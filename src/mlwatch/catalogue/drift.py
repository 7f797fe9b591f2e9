"""What has moved."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
    MetricSpec(
        "drift",
        "share",
        "gauge",
        "down",
        "Share of traffic that moved, one feature.",
        ("feature", "detector"),
    ),
    MetricSpec(
        "drifted_features",
        "features",
        "gauge",
        "down",
        "Features judged to have drifted; the prediction is not one of them.",
    ),
    MetricSpec(
        "prediction_drift",
        "share",
        "gauge",
        "down",
        "Share of traffic that moved, scores.",
        ("detector",),
    ),
    MetricSpec(
        "concept_drift",
        "share",
        "gauge",
        "down",
        "Share of outcomes that differ where the same was predicted; by the e-detector, growth of "
        "the share of wrong labels.",
        ("detector",),
    ),
    MetricSpec(
        "outcome_drift",
        "share",
        "gauge",
        "down",
        "Share of outcomes that moved from one class to another, or with their mean (regression).",
        ("detector",),
    ),
    MetricSpec(
        "worst_drift",
        "share",
        "gauge",
        "down",
        "Share of traffic that moved at least, in the feature that moved most.",
    ),
    MetricSpec(
        "drift_score",
        "share",
        "gauge",
        "down",
        "Mean share of traffic that moved, over all features; hides the feature that moved.",
    ),
    MetricSpec(
        "calibration_days",
        "days",
        "gauge",
        "up",
        "Days from which it is known what is usual for this service.",
    ),
    MetricSpec(
        "backtest_alarms",
        "alarms",
        "gauge",
        "down",
        "Alarms that the last days would have raised, each judged against the others.",
    ),
)
