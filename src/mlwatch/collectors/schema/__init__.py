"""What the user says of the data: explicit rules, each with its count and examples."""

from mlwatch.collectors.schema.collector import Schema
from mlwatch.collectors.schema.rules import NotMissing, OneOf, Pattern, Range

__all__ = ["NotMissing", "OneOf", "Pattern", "Range", "Schema"]
