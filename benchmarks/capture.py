"""The cost of recording, as ratios to what people do instead, measured in the same run.

Twenty mixed features a record. The controls: `logging.info` of the same record to a file, and the
naive way, which opens a file, appends a line of JSON and closes it at every call. What is compared
takes turns, and the median over the turns counts; `docs/performance.md` says more of each figure.
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from cost.call import caller, durable, garbage, latency, size
from cost.figure import FULL, GOALS, QUICK, Effort, Measured, markdown, table
from cost.handler import handled
from cost.leaving import late
from cost.memory import dead_disk, long_run
from cost.whole import batch, disabled

Measure = Callable[[Effort], Mapping[str, Measured]]

MEASURES: Mapping[Measure, tuple[str, ...]] = {
    latency: ("p50 / logging.info", "p99 / logging.info", "p50 / the naive way"),
    caller: ("caller CPU / deque.append",),
    durable: ("CPU of a durable record / the naive way",),
    garbage: ("collections in 50k records",),
    size: ("bytes / a naive line", "bytes, compressed / a naive line"),
    handled: ("handler p90 at 10k records/s / without",),
    long_run: ("RSS at 5 M / at 1 M records",),
    dead_disk: ("disk dead: RSS growth / byte cap",),
    late: ("exit with a dead disk - deadline, s",),
    batch: ("record_batch rows/s / record_prediction",),
    disabled: ("disabled, us a call",),
}


def machine() -> str:
    """Describe what the figures were measured on."""
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{processor()}, {os.cpu_count()} cores, {system}, {python}"


def processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def measured(names: Iterable[str], effort: Effort) -> Iterator[tuple[str, Measured]]:
    """Give the figures that are asked for, in the order of the goals."""
    asked = set(names)
    for measure, figures in MEASURES.items():
        if asked.intersection(figures):
            yield from ((n, one) for n, one in measure(effort).items() if n in asked)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", action="append", help="figures that contain NAME")
    parser.add_argument("--quick", action="store_true", help="seconds, and rough")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/performance.md")
    asked = parser.parse_args(arguments)

    wanted = asked.only or [""]
    names = [name for name in GOALS if any(part.lower() in name.lower() for part in wanted)]
    if not names:
        parser.error(f"no figure contains {' or '.join(wanted)}: {'; '.join(GOALS)}")
    found = dict(measured(names, QUICK if asked.quick else FULL))
    print(machine() + "\n")
    print(markdown(found) if asked.markdown else table(found))
    missed = sum(not GOALS[name].met(one.value) for name, one in found.items())
    print(f"\n{len(found) - missed} of {len(found)} goals hold.")


if __name__ == "__main__":
    main()
