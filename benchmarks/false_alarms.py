"""False alarms a week, and how long a real change waits, for mlwatch and the tools beside it.

Twenty features, 200 rows an hour, four weeks of time-ordered reference, then weeks in which nothing
changes: every alarm there is false. Then the same weeks again, one feature shifted from some hour
on. `make peers` makes the environments of the other tools; those that are absent are left out.

An episode is a run of alarming checks no more than 24 hours apart. A shift counts as found when the
shifted feature is named by a check that stays silent about it without the shift.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from alarms.answer import Answer
from alarms.control import ks_every_day
from alarms.launch import PEERS, Reply, collect, installed, start
from alarms.ours import ours
from alarms.scenario import REFERENCE_WEEKS, SHORTEST_WEEKS, Scenario, simulate
from alarms.table import Answers, Runs, show_alarms, show_delays
from alarms.traffic import MODELS

SIZES = (0.1, 0.25, 0.5, 1.0)
BUDGET = 0.25
QUICK = ("iid", "all three")
# What runs in this process, by the name that the tables give it.
HERE: Mapping[str, Callable[[Scenario], Answer]] = {
    "mlwatch": partial(ours, budget=BUDGET),
    "KS p < .05, each day": ks_every_day,
}


def main() -> None:
    chosen = arguments()
    models = chosen.models or (QUICK if chosen.quick else tuple(MODELS))
    repeats = chosen.runs or (1 if chosen.quick else 2)
    begin = perf_counter()
    with tempfile.TemporaryDirectory(prefix="mlwatch-alarms-") as made:
        folder = Path(made)
        runs = {
            model: [simulate(model, run, chosen.weeks, SIZES) for run in range(repeats)]
            for model in models
        }
        for scenario in all_of(runs):
            scenario.save(folder)
        peers = {peer: python(chosen, peer) for peer in PEERS}
        started = {peer: start(peer, path, folder) for peer, path in peers.items() if path}
        answers, lines = answer_here(runs)
        for peer in PEERS:
            reply = collect(peer, started[peer], folder) if peer in started else "not installed"
            lines.append(told(peer, reply))
            if isinstance(reply, Reply):
                answers |= by_model(reply.answers, runs)

    print(
        f"Runs of each model of traffic: {repeats}, of {chosen.weeks} weeks, after"
        f" {REFERENCE_WEEKS} weeks of reference. It took {perf_counter() - begin:.0f} s:"
    )
    print(*lines, sep="\n")
    report(answers, runs, chosen.weeks)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, help="models of traffic")
    parser.add_argument("--runs", type=int, help="runs of each model (default: 2)")
    parser.add_argument(
        "--weeks",
        type=int,
        default=SHORTEST_WEEKS,
        help=f"weeks watched in a run, at least {SHORTEST_WEEKS} (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help=f"one run of {' and of '.join(QUICK)}")
    for peer in PEERS:
        parser.add_argument(
            f"--{peer}", type=Path, metavar="PYTHON", help=f"an interpreter that has {peer}"
        )
    chosen = parser.parse_args()
    if chosen.weeks < SHORTEST_WEEKS:
        parser.error(f"--weeks {chosen.weeks}: a shift is looked for in {SHORTEST_WEEKS} weeks")
    return chosen


def python(chosen: argparse.Namespace, peer: str) -> Path | None:
    named = getattr(chosen, peer.replace("-", "_"))
    # Absolute, for the peer runs elsewhere; not resolved, for an environment is known by its link.
    return named.absolute() if named else installed(peer)


def all_of(runs: Runs) -> list[Scenario]:
    return [scenario for scenarios in runs.values() for scenario in scenarios]


def answer_here(
    runs: Runs,
) -> tuple[dict[str, Mapping[str, list[Answer]]], list[str]]:
    answers, lines = {}, []
    for method, watch in HERE.items():
        begin = process_time()
        answers[method] = {model: [watch(one) for one in some] for model, some in runs.items()}
        lines.append(f"{method}: {process_time() - begin:.0f} s of processor time")
    return answers, lines


def told(peer: str, reply: Reply | str) -> str:
    if isinstance(reply, Reply):
        return f"{peer} {reply.version}: {reply.seconds:.0f} s of processor time"
    return f"{peer}: left out, {reply} (`make peers` installs it, --{peer} names an interpreter)"


def by_model(
    answers: Mapping[str, Mapping[str, Answer]], runs: Runs
) -> dict[str, Mapping[str, list[Answer]]]:
    return {
        method: {model: [found[one.name] for one in some] for model, some in runs.items()}
        for method, found in answers.items()
    }


def report(answers: Answers, runs: Runs, weeks: int) -> None:
    print(f"\nFalse alarms a week: alarming checks | episodes. The budget of mlwatch: {BUDGET:g}.")
    print("An alarm that does not end is one episode, however many checks repeat it.")
    show_alarms(answers, runs, weeks)
    for size in SIZES:
        print(f"\nUntil a shift of {size:g} sd in 1 of 20 features is found (median, 3 weeks)")
        show_delays(answers, runs, size)


if __name__ == "__main__":
    main()
