"""Features without what nobody may see, before any byte of them exists."""

from mlwatch.redaction.agreement import Redacted, check_same, fit_columns
from mlwatch.redaction.redactor import Redactor, make_redactor

__all__ = [
    "Redacted",
    "Redactor",
    "check_same",
    "fit_columns",
    "make_redactor",
]
