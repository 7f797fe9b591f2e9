"""The machine and the services that a model needs."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
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
        "Memory of the process that ran the cycle.",
    ),
    MetricSpec(
        "process_threads", "threads", "gauge", "", "Threads of the process that ran the cycle."
    ),
    MetricSpec(
        "process_descriptors",
        "descriptors",
        "gauge",
        "down",
        "Open files of the process that ran the cycle.",
    ),
    MetricSpec(
        "process_cpu_percent",
        "percent",
        "gauge",
        "",
        "CPU time of the process that ran the cycle since the last one, in percent of one CPU.",
    ),
    MetricSpec(
        "service_up", "share", "gauge", "up", "1 where a service answers, else 0.", ("service",)
    ),
    MetricSpec(
        "service_status_code",
        "status",
        "gauge",
        "",
        "Status of the HTTP answer of a service.",
        ("service",),
    ),
    MetricSpec(
        "service_latency_ms",
        "ms",
        "gauge",
        "down",
        "Time until a service answered or accepted the connection.",
        ("service",),
    ),
)
