"""Hosts: what starts, measures and closes where the service runs, one module a host.

None of them imports its host; each is imported by its own name, `mlwatch.integrations.asgi`.
"""

__all__: list[str] = []
