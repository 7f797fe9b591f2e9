"""Whether the data is sound."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
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
)
