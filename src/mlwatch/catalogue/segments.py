"""The same of declared segments."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
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
)
