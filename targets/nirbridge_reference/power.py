"""Energy while a run lasts, from counters that only rise: those of the host's processor packages (Linux's
powercap, RAPL) here, that of a GPU in `cuda_power`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

POWERCAP = Path("/sys/class/powercap")
IDLE_S = 0.1  # [s] a window of the idle power; three are taken
SHORTEST_S = 0.1  # [s] a shorter run is less than a hundred of the counter's updates (about 1 ms each)


class Counter(Protocol):
    """Something that counts energy: its value rises [µJ] and starts again from 0 above ``range_uj``."""

    @property
    def range_uj(self) -> int: ...

    def read(self) -> int:
        """Its present value [µJ]. Raises OSError or ValueError where it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Package:
    """The counter of one processor package, a folder of powercap."""

    path: Path
    range_uj: int

    def read(self) -> int:
        return int((self.path / "energy_uj").read_text())


@dataclass(frozen=True, slots=True)
class Energy:
    """What was taken in ``seconds`` of runs; idle_w [W]: median, least and greatest idle power; counted: by
    what, in words."""

    joules: float
    seconds: float
    idle_w: tuple[float, float, float]
    counted: str


def packages(root: Path | None = None) -> tuple[list[Package], str]:
    """The readable package counters below ``root``, or none and why; parts (cores, memory) are left out.

    A package's energy holds that of its cores; a platform's (``psys``) holds the packages'. One package
    that cannot be read makes the sum unknown.
    """
    root = root or POWERCAP
    zones = sorted(p for p in root.glob("intel-rapl:*") if p.name.count(":") == 1) if root.is_dir() else []
    named = [zone for zone in zones if _text(zone / "name").startswith("package")]
    if not named:
        return [], f"no power counter of a processor package in {root}"
    found = []
    for zone in named:
        try:
            counter = Package(zone, int((zone / "max_energy_range_uj").read_text()))
            counter.read()
        except (OSError, ValueError) as error:
            return [], f"the power counter {zone / 'energy_uj'} is not readable ({type(error).__name__})"
        found.append(counter)
    return found, ""


def package_meter(root: Path | None = None) -> Meter:
    """The meter of this host's processor packages."""
    found, reason = packages(root)
    counted = f"power counters of {len(found)} processor package(s)"
    return Meter(found, reason, counted=counted, idle_s=IDLE_S, shortest_s=SHORTEST_S)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class Meter:
    """Reads counters around runs, the idle power before the first; ``reason`` says why it reads none.

    counted: the counters in words. idle_s: a window of the idle power, three are taken [s]. shortest_s: the
    least time that the counters resolve [s].
    """

    def __init__(
        self, counters: Sequence[Counter], reason: str, *, counted: str, idle_s: float, shortest_s: float
    ) -> None:
        self._counters, self.reason, self._counted = list(counters), reason, counted
        self._idle_s, self._shortest_s = idle_s, shortest_s
        self._idle: tuple[float, float, float] | None = None
        self._runs: list[tuple[float, float]] = []  # seconds, joules

    def start(self) -> list[int]:
        """Values before a run; the first call waits for three windows of idling where there are counters."""
        if self._counters and self._idle is None:
            powers = []
            for _ in range(3):
                before, began = self._read(), time.perf_counter()
                time.sleep(self._idle_s)
                powers.append(self._joules(before) / (time.perf_counter() - began))
            powers.sort()
            self._idle = (powers[1], powers[0], powers[2])
        return self._read()

    def stop(self, before: list[int], seconds: float) -> None:
        """Note a run of ``seconds`` [s] that began with these values."""
        joules = self._joules(before)
        if self._counters:
            self._runs.append((seconds, joules))

    def energy(self, seconds: float) -> Energy | str:
        """Energy of the last runs that took ``seconds`` together, or why it is unknown."""
        if not self._counters or self._idle is None:
            return self.reason
        if seconds < self._shortest_s:
            least = 1e3 * self._shortest_s
            return f"the run took {1e3 * seconds:.3g} ms, the power counter needs {least:.0f} ms"
        time_left, joules = seconds, 0.0
        for wall, used in reversed(self._runs):
            time_left -= wall
            joules += used
            if abs(time_left) <= 1e-9 * seconds:
                return Energy(joules, seconds, self._idle, self._counted)
            if time_left < 0:
                break
        return "the recording is not of the runs that were measured"

    def _read(self) -> list[int]:
        """The present values, none from the first time on that one cannot be read."""
        try:
            return [counter.read() for counter in self._counters]
        except (OSError, ValueError) as error:
            self._counters = []
            self.reason = f"a power counter could no longer be read ({type(error).__name__})"
            return []

    def _joules(self, before: list[int]) -> float:
        """Energy since ``before`` [J]; a counter may have started again from 0 once."""
        total = 0
        for counter, now, old in zip(self._counters, self._read(), before, strict=False):
            total += now - old if now >= old else now + counter.range_uj - old
        return total * 1e-6
