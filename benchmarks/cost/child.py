"""Measurements that need a process of their own: its memory, its end, its environment."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1]


def start(module: str, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
    """Start a module of this package; it prints what it found."""
    path = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path} | variables,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: "subprocess.Popen[str]") -> list[float]:
    """Wait for the child and return the numbers of its last line."""
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{process.args} ended with {process.returncode}")
    return [float(word) for word in printed.splitlines()[-1].split()]
