"""Energy of the host's processor packages while a run lasts, from the counters of Linux's powercap (RAPL)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
IDLE_S = 0.1  # [s] a window of the idle power; three are taken
SHORTEST_S = 0.1  # [s] a shorter run is less than a hundred of the counter's updates (about 1 ms each)


@dataclass(frozen=True, slots=True)
class Counter:
    """One package: ``energy_uj`` rises [µJ] and starts again from 0 above ``range_uj``."""

    path: Path
    range_uj: int

    def read(self) -> int:
        """Its present value [µJ]. Raises OSError or ValueError where it cannot be read."""
        return int((self.path / "energy_uj").read_text())


@dataclass(frozen=True, slots=True)
class Energy:
    """What the packages took in ``seconds`` of runs; idle_w [W]: median, least and greatest idle power."""

    joules: float
    seconds: float
    idle_w: tuple[float, float, float]
    packages: int


def counters(root: Path | None = None) -> tuple[list[Counter], str]:
    """The readable package counters below ``root``, or none and why; parts (cores, memory) are left out.

    A package's energy holds that of its cores; a platform's (``psys``) holds the packages'.
    """
    root = root or POWERCAP
    zones = sorted(p for p in root.glob("intel-rapl:*") if p.name.count(":") == 1) if root.is_dir() else []
    packages = [zone for zone in zones if _text(zone / "name").startswith("package")]
    if not packages:
        return [], f"no power counter of a processor package in {root}"
    found = []
    for zone in packages:
        try:
            counter = Counter(zone, int((zone / "max_energy_range_uj").read_text()))
            counter.read()
        except (OSError, ValueError) as error:
            return [], f"the power counter {zone / 'energy_uj'} is not readable ({type(error).__name__})"
        found.append(counter)
    return found, ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class Meter:
    """Reads the counters around runs, the idle power before the first; ``reason`` says why it reads none."""

    def __init__(self, root: Path | None = None) -> None:
        self._counters, self.reason = counters(root)
        self._idle: tuple[float, float, float] | None = None
        self._runs: list[tuple[float, float]] = []  # seconds, joules

    def start(self) -> list[int]:
        """Values before a run; the first call waits for `IDLE_S` three times where there are counters."""
        if self._counters and self._idle is None:
            powers = []
            for _ in range(3):
                before, began = self._read(), time.perf_counter()
                time.sleep(IDLE_S)
                powers.append(self._joules(before) / (time.perf_counter() - began))
            powers.sort()
            self._idle = (powers[1], powers[0], powers[2])
        return self._read()

    def stop(self, before: list[int], seconds: float) -> None:
        """Note a run of ``seconds`` [s] that began with these values."""
        if self._counters:
            self._runs.append((seconds, self._joules(before)))

    def energy(self, seconds: float) -> Energy | str:
        """Energy of the last runs that took ``seconds`` together, or why it is unknown."""
        if not self._counters or self._idle is None:
            return self.reason
        if seconds < SHORTEST_S:
            return f"the run took {1e3 * seconds:.3g} ms, the power counter needs {1e3 * SHORTEST_S:.0f} ms"
        time_left, joules = seconds, 0.0
        for wall, used in reversed(self._runs):
            time_left -= wall
            joules += used
            if abs(time_left) <= 1e-9 * seconds:
                return Energy(joules, seconds, self._idle, len(self._counters))
            if time_left < 0:
                break
        return "the recording is not of the runs that were measured"

    def _read(self) -> list[int]:
        return [counter.read() for counter in self._counters]

    def _joules(self, before: list[int]) -> float:
        """Energy since ``before`` [J]; a counter may have started again from 0 once."""
        total = 0
        for counter, old in zip(self._counters, before, strict=True):
            now = counter.read()
            total += now - old if now >= old else now + counter.range_uj - old
        return total * 1e-6
