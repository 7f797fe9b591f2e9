"""What is true of four sets of real data, and what a monitor says of them.

Each set is served by a model of its first period, row by row in the order of time, through a real
monitor that is told every outcome; a cycle is run every four weeks. Shown is, for each later
period, what the model was worth beside the reference, what it predicted beside what came true, and
what was said to have drifted. A change is WORSE when it certainly exceeds the margin of
`PerformanceCollector`, at the level of the alarm budget; the interval that is shown is that of 95%.

What has to come out: a bank that calls other people from July 2009 on loses accuracy, and much
drifts; in the census of three years nothing that matters changes; of electricity's prices three
constants come alive on 1997-05-05, and the model is worse in every quarter but the third of 1998,
in which the inputs still drift; and in 2012 more bicycles are hired than any model of 2011 knows.

The data do not belong to the project; `MLWATCH_DATA` names their folder. What is not there is said.
"""

import argparse
from time import perf_counter

from truth.sets import FILES, load, missing
from truth.table import play, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(FILES)}; else all")
    names = parser.parse_args().sets or list(FILES)
    if unknown := sorted(set(names) - set(FILES)):
        parser.error(f"there is no set {unknown[0]!r}; there are {', '.join(FILES)}")
    for name in names:
        lacking = missing(name)
        if lacking:
            print(f"\n{name}: not shown, no {', '.join(lacking)}")
            continue
        begin = perf_counter()
        real = load(name)
        print(f"\n{name}: {real.title}, {len(real.before.times):,} rows of reference")
        print("\n".join(table(real, list(play(real)))))
        print(f"({len(real.live.times):,} rows in {perf_counter() - begin:.0f} s)")


if __name__ == "__main__":
    main()
