"""How a peer is handed its runs and hands back its answers: .npz files in, .json files out."""

import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from time import process_time

from alarms.answer import Answer
from alarms.scenario import Scenario, load

Methods = Callable[[Scenario], Mapping[str, Answer]]


def serve(package: str, methods: Methods) -> None:
    """Answer every scenario of the folder that the command line names.

    Args:
        package: The tool's distribution, for its version.
        methods: Gives an answer for each way in which the tool is used, by its name.
    """
    folder = Path(sys.argv[1])
    for path in sorted(folder.glob("*.npz")):
        begin = process_time()
        answers = {name: answer.to_json() for name, answer in methods(load(path)).items()}
        reply = {
            "version": version(package),
            "seconds": process_time() - begin,
            "answers": answers,
        }
        (folder / f"{path.stem}.{package}.json").write_text(json.dumps(reply))
