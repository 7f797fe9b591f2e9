"""The monitor itself."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
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
