"""The limits that Linux control groups, and so containers, set to this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_CPUS = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")


@dataclass(frozen=True, slots=True)
class Room:
    """A limit of memory and what of it is used, in bytes, caches that can be dropped left out."""

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class Share:
    """A limit of CPU: how many cores, and the seconds of one core that its group has used so far.

    `group` is the folder of the group that is limited, whose use is counted.
    """

    cores: float
    seconds: float
    group: str


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Read the limits of a process, of version 1 or 2 of control groups.

    A group lies within others, and each may set a limit: those of all groups from the process's
    own up to the root that can be seen are read. "max" is no limit.

    Args:
        root: Where control groups are mounted.
        membership: The file that says which groups the process belongs to.
    """

    root: Path = Path("/sys/fs/cgroup")
    membership: Path = Path("/proc/self/cgroup")

    def memory(self) -> list[Room]:
        """Return every limit of memory, that of the innermost group first; empty: there is none.

        What is used is what is counted for the group without `inactive_file`, the pages of files
        that can be dropped at once, as container runtimes show it.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file holds something else.
        """
        return [room for folder in self._folders("memory") for room in _rooms(folder)]

    def cpu(self, host_cores: int) -> Share | None:
        """Return the tightest limit of CPU; None where all of the host's cores may be used.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file holds something else.
        """
        limits = [(cores, folder) for folder in self._folders("cpu") for cores in _quota(folder)]
        own = [*self._folders("cpu"), *self._folders("cpuacct")][:1]
        limits += [(float(cores), folder) for folder in own for cores in self._cpuset()]
        cores, folder = min(limits, key=lambda limit: limit[0], default=(None, None))
        if cores is None or folder is None or cores >= host_cores:
            return None
        return Share(cores, self._used_seconds(folder), str(folder))

    def _cpuset(self) -> Iterator[int]:
        for folder in self._folders("cpuset")[:1]:
            ranges = next((text for name in _CPUS if (text := _read(folder / name))), "")
            if ranges:
                yield sum(map(_length, ranges.split(",")))

    def _used_seconds(self, folder: Path) -> float:
        stat = _table(folder / "cpu.stat")
        if "usage_usec" in stat:
            return stat["usage_usec"] / 1e6
        if not (folder / "cpuacct.usage").exists():  # mounted apart: the group of the same depth
            folders = self._folders("cpu")
            folder = self._folders("cpuacct")[folders.index(folder) - len(folders)]
        return int((folder / "cpuacct.usage").read_text()) / 1e9

    def _folders(self, controller: str) -> list[Path]:
        """Return the folders of a controller, that of the process's own group first, root last.

        Of a container that sees only its own groups the process may be said to belong to a group
        that it cannot see: then the root is its own.
        """
        for names, path in self._memberships():
            if names and controller not in names.split(","):
                continue
            for base in (self.root / names, self.root / (names and controller)):
                if base.is_dir():
                    parts = [part for part in PurePosixPath(path).parts if part not in {"/", ".."}]
                    chain = [base.joinpath(*parts[:n]) for n in range(len(parts), -1, -1)]
                    return [folder for folder in chain if folder.is_dir()]
        return []

    def _memberships(self) -> list[tuple[str, str]]:
        """Return controllers and paths; version 1 names controllers, and goes first."""
        lines = (_read(self.membership) or "").splitlines()
        found = [(names, path) for _, names, path in (line.split(":", 2) for line in lines)]
        return sorted(found, key=lambda member: not member[0])


def _rooms(folder: Path) -> Iterator[Room]:
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most = _read(folder / limit)
        if most not in {None, "max"}:
            inactive = _table(folder / "memory.stat").get(cache, 0)
            held = int((folder / used).read_text())
            yield Room(int(most or 0), max(0, held - inactive))


def _quota(folder: Path) -> Iterator[float]:
    """Give the cores that a group may use, where there is a limit."""
    quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us") or "max"
        period = _read(folder / "cpu.cfs_period_us") or ""
    if quota not in {"max", "-1"}:
        yield int(quota) / int(period)


def _length(numbers: str) -> int:
    """Return how many numbers a range such as "3" or "0-7" has."""
    first, _, last = numbers.partition("-")
    return int(last or first) - int(first) + 1


def _table(path: Path) -> dict[str, int]:
    lines = (line.split() for line in (_read(path) or "").splitlines())
    return {name: int(value) for name, value in lines}


def _read(path: Path) -> str | None:
    """Return the text of a file, None where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
