"""The one catalogue of metrics: name, unit, kind, direction and one line of text each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What a metric is.

    `kind` tells a gauge of one window from a total that only grows. `direction` tells which way
    is better: "up", "down", or "" where neither is.
    """

    name: str
    unit: str
    kind: Literal["gauge", "total"]
    direction: Literal["up", "down", ""]
    text: str
    labels: tuple[str, ...] = ()


_SPECS = (
    MetricSpec(
        "accuracy", "share", "gauge", "up", "Share of labelled predictions that were right."
    ),
    MetricSpec(
        "balanced_accuracy",
        "share",
        "gauge",
        "up",
        "Mean, over the classes, of the share of outcomes that were predicted.",
    ),
    MetricSpec(
        "precision", "share", "gauge", "up", "Share of predicted positives that were right."
    ),
    MetricSpec("recall", "share", "gauge", "up", "Share of actual positives that were predicted."),
    MetricSpec("f1", "share", "gauge", "up", "Harmonic mean of precision and recall."),
    MetricSpec(
        "precision_weighted",
        "share",
        "gauge",
        "up",
        "Precision averaged over the classes by their outcomes; `precision` counts them alike.",
    ),
    MetricSpec(
        "recall_weighted", "share", "gauge", "up", "Recall averaged alike, which is the accuracy."
    ),
    MetricSpec("f1_weighted", "share", "gauge", "up", "F1 averaged alike."),
    MetricSpec(
        "class_recall",
        "share",
        "gauge",
        "up",
        "Share of the outcomes of a class that were predicted.",
        ("class",),
    ),
    MetricSpec(
        "confusion",
        "rows",
        "gauge",
        "",
        "Labelled predictions by what was predicted and what came true.",
        ("predicted", "actual"),
    ),
    MetricSpec(
        "roc_auc", "share", "gauge", "up", "Chance that a positive scores above a negative."
    ),
    MetricSpec(
        "average_precision",
        "share",
        "gauge",
        "up",
        "Mean, over the positives, of the precision at the score of each.",
    ),
    MetricSpec(
        "log_loss", "nats", "gauge", "down", "Mean of -log of the probability of the truth."
    ),
    MetricSpec(
        "brier_score", "score", "gauge", "down", "Mean squared difference of scores and outcomes."
    ),
    MetricSpec(
        "calibration_error",
        "share",
        "gauge",
        "down",
        "Difference of scores and share of positives, averaged over ten bins of scores.",
    ),
    MetricSpec(
        "estimated_accuracy",
        "share",
        "gauge",
        "up",
        "Accuracy to be expected by the scores; cannot see concept drift.",
    ),
    MetricSpec(
        "estimated_precision",
        "share",
        "gauge",
        "up",
        "Precision to be expected by the scores; cannot see concept drift.",
    ),
    MetricSpec(
        "estimated_recall",
        "share",
        "gauge",
        "up",
        "Recall to be expected by the scores; cannot see concept drift.",
    ),
    MetricSpec(
        "estimated_f1",
        "share",
        "gauge",
        "up",
        "F1 to be expected by the scores; cannot see concept drift.",
    ),
    MetricSpec(
        "estimated_roc_auc",
        "share",
        "gauge",
        "up",
        "Area under the ROC curve to be expected by the scores; cannot see concept drift.",
    ),
    MetricSpec(
        "realised_minus_estimated",
        "difference",
        "gauge",
        "",
        "A figure of the labelled rows less the one that their scores let expect.",
        ("metric",),
    ),
    MetricSpec("mae", "target", "gauge", "down", "Mean absolute error."),
    MetricSpec("rmse", "target", "gauge", "down", "Root of the mean squared error."),
    MetricSpec(
        "mape",
        "ratio",
        "gauge",
        "down",
        "Mean absolute error as a share of the outcome; outcomes of 0 are left out.",
    ),
    MetricSpec("r2", "share", "gauge", "up", "Share of the outcomes' variance that is explained."),
    MetricSpec("mean_error", "target", "gauge", "", "Mean of prediction less outcome: the bias."),
    MetricSpec(
        "absolute_error", "target", "gauge", "down", "Absolute error at a quantile.", ("quantile",)
    ),
    MetricSpec(
        "performance_change",
        "difference",
        "gauge",
        "",
        "A performance figure less the same on the reference.",
        ("metric",),
    ),
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
    MetricSpec("labelled_count", "rows", "gauge", "up", "Predictions whose outcome is known."),
    MetricSpec("label_coverage", "share", "gauge", "up", "Share of predictions with an outcome."),
    MetricSpec(
        "label_maturity",
        "share",
        "gauge",
        "up",
        "Share of the labels that will come that has come, by the time that labels take.",
    ),
    MetricSpec(
        "label_delay_seconds",
        "s",
        "gauge",
        "down",
        "Time from prediction to label at a quantile, of the labels that came in the last week.",
        ("quantile",),
    ),
    MetricSpec(
        "labels_changed",
        "rows",
        "gauge",
        "down",
        "Labels that came in the window and say another thing than the one before.",
    ),
    MetricSpec(
        "outcomes_without_prediction",
        "rows",
        "gauge",
        "down",
        "Outcomes of the window's time for an id that no prediction has, so far.",
    ),
    MetricSpec("outcome_rate", "share", "gauge", "", "Share of known outcomes that are positive."),
    MetricSpec("outcome_mean", "target", "gauge", "", "Mean of the known outcomes (regression)."),
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
        "segments_worse",
        "segments",
        "gauge",
        "down",
        "Segments that certainly err more than the rest; `why` names the worst.",
    ),
    MetricSpec(
        "segment_error_excess",
        "difference",
        "gauge",
        "down",
        "Share of wrong labels in a segment less that in the rest; ends hold for all at once.",
        ("segment",),
    ),
    MetricSpec(
        "segment_mae_excess",
        "target",
        "gauge",
        "down",
        "Mean absolute error in a segment less that in the rest; ends hold for all at once.",
        ("segment",),
    ),
    MetricSpec(
        "segment_share",
        "share",
        "gauge",
        "",
        "Share of the predictions that are of a segment.",
        ("segment",),
    ),
    MetricSpec(
        "segment_error_rate",
        "share",
        "gauge",
        "down",
        "`error_rate` of a segment.",
        ("segment",),
    ),
    MetricSpec(
        "segment_latency_ms",
        "ms",
        "gauge",
        "down",
        "`latency_ms` of a segment.",
        ("segment", "quantile"),
    ),
    MetricSpec(
        "segment_positive_rate",
        "share",
        "gauge",
        "",
        "`positive_rate` of a segment.",
        ("segment",),
    ),
    MetricSpec(
        "segment_prediction_mean",
        "score",
        "gauge",
        "",
        "`prediction_mean` of a segment.",
        ("segment",),
    ),
    MetricSpec(
        "segment_accuracy", "share", "gauge", "up", "`accuracy` of a segment.", ("segment",)
    ),
    MetricSpec(
        "segment_precision", "share", "gauge", "up", "`precision` of a segment.", ("segment",)
    ),
    MetricSpec("segment_recall", "share", "gauge", "up", "`recall` of a segment.", ("segment",)),
    MetricSpec("segment_roc_auc", "share", "gauge", "up", "`roc_auc` of a segment.", ("segment",)),
    MetricSpec("segment_mae", "target", "gauge", "down", "`mae` of a segment.", ("segment",)),
    MetricSpec("segment_rmse", "target", "gauge", "down", "`rmse` of a segment.", ("segment",)),
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
        "missing_share",
        "share",
        "gauge",
        "down",
        "Share of rows in which a feature is missing or NaN.",
        ("feature",),
    ),
    MetricSpec(
        "unseen_share",
        "share",
        "gauge",
        "down",
        "Share of categories that the reference does not know.",
        ("feature",),
    ),
    MetricSpec(
        "out_of_range_share",
        "share",
        "gauge",
        "down",
        "Share of numbers beyond the outermost points that the reference keeps.",
        ("feature",),
    ),
    MetricSpec(
        "wrong_kind_share",
        "share",
        "gauge",
        "down",
        "Share of values of another kind than the feature's, such as texts among numbers.",
        ("feature",),
    ),
    MetricSpec(
        "infinite_share",
        "share",
        "gauge",
        "down",
        "Share of values that are infinite, of either sign.",
        ("feature",),
    ),
    MetricSpec(
        "new_features", "features", "gauge", "down", "Features that the reference does not have."
    ),
    MetricSpec(
        "vanished_features", "features", "gauge", "down", "Features that are missing in every row."
    ),
    MetricSpec(
        "constant_features",
        "features",
        "gauge",
        "down",
        "Features with one value alone that had more on the reference.",
    ),
    MetricSpec(
        "id_like_features",
        "features",
        "gauge",
        "down",
        "Features with another text or whole number in nearly every row of a sample.",
    ),
    MetricSpec(
        "duplicate_share",
        "share",
        "gauge",
        "down",
        "Share of a sample's rows whose features are all those of a row before.",
    ),
    MetricSpec(
        "feature_age_seconds",
        "s",
        "gauge",
        "down",
        "Age of the newest value of a feature of times, in a sample of rows.",
        ("feature",),
    ),
    MetricSpec(
        "schema_violations",
        "rows",
        "gauge",
        "down",
        "Values that break a rule of the schema; `why` has examples.",
        ("feature", "rule"),
    ),
    MetricSpec(
        "schema_violation_share",
        "share",
        "gauge",
        "down",
        "Share of the values asked about that break a rule of the schema.",
        ("feature", "rule"),
    ),
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
        "version_difference",
        "difference",
        "gauge",
        "",
        "A metric of another model version less that of the monitor's own.",
        ("metric", "version"),
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
    MetricSpec(
        "customers_at_risk",
        "customers",
        "gauge",
        "",
        "Customers whose score lies in a tier of risk.",
        ("tier",),
    ),
    MetricSpec(
        "revenue_at_risk", "currency", "gauge", "down", "Value of the customers at high risk."
    ),
    MetricSpec("contact_cost", "currency", "gauge", "", "Cost of contacting them."),
    MetricSpec(
        "revenue_saved",
        "currency",
        "gauge",
        "up",
        "Value of those who are expected to stay for it.",
    ),
    MetricSpec(
        "retention_roi", "ratio", "gauge", "up", "What is saved beyond the cost, over the cost."
    ),
    MetricSpec(
        "cpu_percent",
        "percent",
        "gauge",
        "down",
        "Percent of the time of all CPUs that was used since the last cycle, 0 to 100.",
    ),
    MetricSpec(
        "load_average",
        "processes",
        "gauge",
        "down",
        "Mean number of processes of the machine that ran or waited to run.",
        ("minutes",),
    ),
    MetricSpec("memory_percent", "percent", "gauge", "down", "Percent of the memory in use."),
    MetricSpec("memory_available_bytes", "bytes", "gauge", "up", "Memory that can still be taken."),
    MetricSpec("disk_percent", "percent", "gauge", "down", "Percent of a disk in use.", ("mount",)),
    MetricSpec("disk_free_bytes", "bytes", "gauge", "up", "Free on a disk.", ("mount",)),
    MetricSpec(
        "network_received_bytes",
        "bytes",
        "total",
        "",
        "Received by all network interfaces since the machine started.",
    ),
    MetricSpec(
        "network_sent_bytes",
        "bytes",
        "total",
        "",
        "Sent by all network interfaces since the machine started.",
    ),
    MetricSpec(
        "open_connections",
        "connections",
        "gauge",
        "",
        "TCP sockets in use: connections, and sockets that listen for them.",
    ),
    MetricSpec("process_count", "processes", "gauge", "", "Processes of the machine."),
    MetricSpec(
        "process_rss_bytes",
        "bytes",
        "gauge",
        "down",
        "Memory of the process that ran the cycle, as are the next three.",
    ),
    MetricSpec("process_threads", "threads", "gauge", "", "Its threads."),
    MetricSpec("process_descriptors", "descriptors", "gauge", "down", "Its open files."),
    MetricSpec(
        "process_cpu_percent",
        "percent",
        "gauge",
        "",
        "Its CPU time since the last cycle, in percent of one CPU.",
    ),
    MetricSpec(
        "service_up", "share", "gauge", "up", "1 where a service answers, else 0.", ("service",)
    ),
    MetricSpec(
        "service_status_code", "status", "gauge", "", "Status of its HTTP answer.", ("service",)
    ),
    MetricSpec(
        "service_latency_ms",
        "ms",
        "gauge",
        "down",
        "Time until it answered or accepted the connection.",
        ("service",),
    ),
    MetricSpec(
        "monitoring_fault",
        "faults",
        "gauge",
        "down",
        "1 when a part of the monitoring raised.",
        ("part",),
    ),
    MetricSpec(
        "monitor_recorded",
        "records",
        "total",
        "",
        "Predictions, outcomes, requests and counts of the log handed over, ever.",
    ),
    MetricSpec("monitor_stored", "records", "total", "", "Those of them that are in the store."),
    MetricSpec(
        "monitor_dropped",
        "records",
        "total",
        "down",
        "Those that were dropped, by reason.",
        ("reason",),
    ),
    MetricSpec(
        "monitor_lost_share",
        "share",
        "gauge",
        "down",
        "Share of the last hour's records that the monitor lost; `why` names the reasons.",
    ),
    MetricSpec("monitor_queue_bytes", "bytes", "gauge", "down", "Waiting in memory after a flush."),
    MetricSpec("monitor_queue_fill", "share", "gauge", "down", "The same as a share of its bound."),
    MetricSpec("monitor_spool_bytes", "bytes", "gauge", "down", "In the spool, ingested or not."),
    MetricSpec("monitor_spool_fill", "share", "gauge", "down", "The same as a share of its bound."),
    MetricSpec(
        "monitor_ingest_lag_seconds",
        "s",
        "gauge",
        "down",
        "Age of the oldest record in the spool that could not be ingested yet.",
    ),
    MetricSpec(
        "monitor_last_cycle_age_seconds", "s", "gauge", "", "Time since the cycle before this one."
    ),
    MetricSpec(
        "monitor_cycle_seconds",
        "s",
        "gauge",
        "down",
        "Time that a cycle takes, the median of the last three of this process.",
    ),
    MetricSpec(
        "monitor_cycle_share",
        "share",
        "gauge",
        "down",
        "The same as a share of the time between cycles.",
    ),
    MetricSpec(
        "monitor_store_bytes",
        "bytes",
        "gauge",
        "",
        "Size of the store's rows, where `Retention(max_bytes=...)` bounds it.",
    ),
    MetricSpec(
        "monitor_error",
        "errors",
        "gauge",
        "down",
        "1 while the monitor itself cannot do something; `why` says what.",
    ),
)

CATALOGUE: Mapping[str, MetricSpec] = {spec.name: spec for spec in _SPECS}
