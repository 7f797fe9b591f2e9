"""What the model is worth: figures of labelled predictions, estimates, and labels themselves."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
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
        "recall_weighted",
        "share",
        "gauge",
        "up",
        "Recall averaged over the classes by their outcomes, which is the accuracy.",
    ),
    MetricSpec(
        "f1_weighted", "share", "gauge", "up", "F1 averaged over the classes by their outcomes."
    ),
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
    MetricSpec("outcome_rate", "share", "gauge", "", "Share of known outcomes that are positive."),
    MetricSpec("outcome_mean", "target", "gauge", "", "Mean of the known outcomes (regression)."),
)
