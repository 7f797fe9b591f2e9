"""What flows through mlwatch: frozen records, and the policies that group its options."""

from mlwatch.records.account import Account, ingest_key
from mlwatch.records.cells import Cells, Tallies, Tally, add_tallies, pack, sum_tallies
from mlwatch.records.cycle import CycleReport
from mlwatch.records.events import Outcome, Pending, Prediction
from mlwatch.records.keys import digest, file_name, join_key, split_key
from mlwatch.records.policies import (
    AlarmBudget,
    AlertPolicy,
    CaptureOptions,
    DriftPolicy,
    Retention,
)
from mlwatch.records.results import (
    EPOCH,
    IMMATURE,
    Alert,
    Delivery,
    DriftResult,
    Fault,
    Metric,
    Receipt,
    Revised,
    Severity,
)
from mlwatch.records.segments import Segment, as_segments
from mlwatch.records.storage import (
    RECORD_TYPES,
    RECORDER,
    Batch,
    Memory,
    Pane,
    Progress,
    Record,
    State,
    Table,
)

__all__ = [
    "EPOCH",
    "IMMATURE",
    "RECORDER",
    "RECORD_TYPES",
    "Account",
    "AlarmBudget",
    "Alert",
    "AlertPolicy",
    "Batch",
    "CaptureOptions",
    "Cells",
    "CycleReport",
    "Delivery",
    "DriftPolicy",
    "DriftResult",
    "Fault",
    "Memory",
    "Metric",
    "Outcome",
    "Pane",
    "Pending",
    "Prediction",
    "Progress",
    "Receipt",
    "Record",
    "Retention",
    "Revised",
    "Segment",
    "Severity",
    "State",
    "Table",
    "Tallies",
    "Tally",
    "add_tallies",
    "as_segments",
    "digest",
    "file_name",
    "ingest_key",
    "join_key",
    "pack",
    "split_key",
    "sum_tallies",
]
