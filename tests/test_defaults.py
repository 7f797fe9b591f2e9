"""What a monitor has by default, and how it is changed."""

from __future__ import annotations

import pytest

from mlwatch import ConfigurationError, Metric, Monitor, defaults
from mlwatch.collectors import ServiceCollector
from mlwatch.protocols import part_name
from mlwatch.stores import MemoryStore


def mine(window):
    """Count nothing."""
    return [Metric("mine", 1.0)]


def test_own_collectors_take_the_place_of_defaults():
    """A collector with a default's name replaces it, another is added, and all others stay."""
    services = ServiceCollector({"cache": lambda: True})
    found = defaults.collectors(own=[services, mine])
    usual = list(map(part_name, defaults.collectors()))

    assert [it for it in found if part_name(it) == "services"] == [services]
    assert sorted(map(part_name, found)) == sorted([*usual, "mine"])
    with Monitor(store=MemoryStore(), collectors=found, notifiers=[]) as monitor:
        report = monitor.run_cycle()
    assert {it.labels["service"]: it.value for it in report.find("service_up")} == {
        "cache": 1,
        "store": 1,
    }


def test_two_of_one_name_are_refused_with_what_to_write():
    """A collector added beside the default of its name is refused, and the error says how."""
    found = [*defaults.collectors(), ServiceCollector({"cache": lambda: True})]
    with pytest.raises(ConfigurationError, match=r"own=\["):
        Monitor(store=MemoryStore(), collectors=found, notifiers=[])


def test_a_scope_that_there_is_not_is_refused():
    """A collector that no cycle would ask is refused, and not reported as well."""

    class Misspelt:
        name, scope = "mine", "Machine"

        def collect(self, window):
            return []

    with pytest.raises(ConfigurationError, match=r"scope='Machine'.*'version', 'model', 'machine'"):
        Monitor(store=MemoryStore(), collectors=[Misspelt()], notifiers=[])
