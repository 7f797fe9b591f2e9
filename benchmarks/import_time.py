"""The time of ``import mlwatch``, as a ratio to ``import numpy`` measured in the same run.

Each import is timed in a process of its own, the two by turns, so that whatever else the machine
does slows both alike. Bytecode is cached, as it is wherever a service runs twice.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

GOAL = 2.0
TIMED_IMPORT = """
from time import perf_counter
start = perf_counter()
import {module}
print(perf_counter() - start)
"""


def import_seconds(module: str) -> float:
    # On a busy machine the threads that OpenBLAS starts take turns with the import: numpy alone
    # would seem twice as slow, and the ratio better than it is.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", TIMED_IMPORT.format(module=module)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="imports of each (default: 21)")
    rounds = parser.parse_args().rounds

    modules = ("numpy", "mlwatch")
    for module in modules:
        import_seconds(module)  # writes the bytecode
    seconds = {module: [] for module in modules}
    for _ in range(rounds):
        for module in modules:
            seconds[module].append(import_seconds(module))

    print(f"{'import':<10}{'median ms':>12}{'fastest ms':>12}")
    for module in modules:
        times = seconds[module]
        print(f"{module:<10}{median(times) * 1000:>12.1f}{min(times) * 1000:>12.1f}")
    ratio = median(seconds["mlwatch"]) / median(seconds["numpy"])
    print(
        f"mlwatch / numpy: {ratio:.2f}   goal: < {GOAL:g}   {'met' if ratio < GOAL else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
