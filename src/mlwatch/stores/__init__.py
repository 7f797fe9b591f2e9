"""Where everything is kept; one store a file."""

from mlwatch.stores.jsonl import JSONLStore
from mlwatch.stores.memory import MemoryStore
from mlwatch.stores.sqlite import SQLiteStore

__all__ = ["JSONLStore", "MemoryStore", "SQLiteStore"]
