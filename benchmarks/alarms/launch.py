"""Starting the peers, each in a process and an environment of its own."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alarms.answer import Answer, from_json

BENCHMARKS = Path(__file__).parents[1]
ENVIRONMENTS = BENCHMARKS.parent / "build" / "peers"
PEERS = {
    "evidently": "alarms.peers.evidently",
    "nannyml": "alarms.peers.nannyml",
    "alibi-detect": "alarms.peers.alibi_detect",
}
QUIET = {  # nobody is told that this ran, and nothing is looked up
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class Reply:
    """What a peer handed back.

    Args:
        version: Of the tool.
        seconds: Of processor time that it took for all runs, its imports left out.
        answers: By method, then by the name of the run.
    """

    version: str
    seconds: float
    answers: Mapping[str, Mapping[str, Answer]]


def installed(peer: str) -> Path | None:
    """Find the interpreter that `make peers` has made for a peer."""
    python = ENVIRONMENTS / peer / "bin" / "python"
    return python if python.exists() else None


def start(peer: str, python: Path, folder: Path) -> subprocess.Popen[str]:
    """Let a peer answer every run saved in a folder."""
    return subprocess.Popen(
        [python, "-m", PEERS[peer], folder],
        cwd=folder,
        env=os.environ | QUIET | {"PYTHONPATH": str(BENCHMARKS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def collect(peer: str, process: subprocess.Popen[str], folder: Path) -> Reply | str:
    """Wait for a peer.

    Returns:
        Its reply, or the last line of what it complained about.
    """
    complaint = process.communicate()[1]
    if process.returncode:
        return complaint.strip().rpartition("\n")[2]
    return merge(peer, sorted(folder.glob(f"*.{peer}.json")))


def merge(peer: str, paths: Iterable[Path]) -> Reply:
    version, seconds = "", 0.0
    answers: dict[str, dict[str, Answer]] = {}
    for path in paths:
        reply = json.loads(path.read_text())
        version, seconds = reply["version"], seconds + reply["seconds"]
        for method, found in reply["answers"].items():
            answers.setdefault(method, {})[path.name.removesuffix(f".{peer}.json")] = from_json(
                found
            )
    return Reply(version, seconds, answers)
