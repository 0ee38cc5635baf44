"""Mutate valid files and read them: each gives a result or a nirbridge error, and nothing else.

    python tests/fuzz [-n 10000] [--seed 0] [-j 2] [--only .nir] [--keep FOLDER] [-o fuzz.json]

File k is made from (seed, k) alone, so any of them can be made again. A read fails the run where the
process dies (crash), where it takes more than 2 s of processor time or 20 s by the clock (hang), where
it runs out of memory (memory), or where another exception than a `NirbridgeError` leaves (bare).
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mutate import mutate
from pool import Worker
from seeds import write_seeds

BAD = ("crash", "hang", "memory", "bare")


@dataclass
class Tally:
    """What came of the files of one ending."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, k: int, how: str, seed: str, answer: dict[str, Any]) -> None:
        self.outcomes[answer["outcome"]] += 1
        self.slowest = max(self.slowest, answer["seconds"])
        self.largest = max(self.largest, answer["bytes"])
        if answer["outcome"] == "error":
            self.codes[answer["what"]] += 1
        if answer["outcome"] in BAD:
            self.failures.append({"k": k, "mutation": how, "seed_file": seed, **answer})


def fuzz(n: int, seed: int, jobs: int, keep: Path | None, only: list[str]) -> dict[str, Tally]:
    """Read ``n`` mutated files with ``jobs`` workers; files that fail are kept in ``keep``."""
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = {e: p for e, p in write_seeds(folder).items() if not only or e in only}
        warm = folder / "warm.txt"
        lines = [json.dumps([str(path), ending]) for ending, paths in seeds.items() for path in paths]
        warm.write_text("\n".join(lines))
        files = [(ending, path) for ending, paths in seeds.items() for path in paths]
        endings = list(seeds)
        tallies = {ending: Tally() for ending in endings}

        def share(part: int) -> None:
            worker = Worker(warm)
            try:
                for k in range(part, n, jobs):
                    rng = np.random.default_rng([seed, k])
                    ending = endings[k % len(endings)]
                    source = [path for e, path in files if e == ending]
                    origin = source[int(rng.integers(len(source)))]
                    path = folder / f"file{k}{ending}"
                    shutil.copy(origin, path)
                    how = mutate(path, ending, rng)
                    answer = worker.read(path, ending)
                    tallies[ending].add(k, how, origin.name, answer)
                    if answer["outcome"] in BAD and keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.copy(path, keep)
                    path.unlink()
            finally:
                worker.stop()

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(share, range(jobs)))
    return tallies


def show(tallies: dict[str, Tally]) -> None:
    columns = ("result", "error", *BAD)
    print(f"{'':8}{'files':>7}" + "".join(f"{c:>8}" for c in columns) + f"{'slowest':>10}{'largest':>10}")
    for ending, tally in tallies.items():
        counts = "".join(f"{tally.outcomes[c]:8}" for c in columns)
        print(f"{ending:8}{tally.outcomes.total():7}{counts}{tally.slowest:8.2f} s"
              f"{tally.largest >> 20:6} MiB")  # fmt: skip
    for tally in tallies.values():
        for failure in tally.failures[:20]:
            print(f"file {failure['k']}: {failure['outcome']}: {failure['mutation']} of "
                  f"{failure['seed_file']}: {failure['what']}")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Read mutated files.")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", default=[], metavar="ENDING")
    parser.add_argument("--keep", type=Path, help="a folder for the files that fail")
    parser.add_argument("-o", "--output", type=Path, help="write the counts as JSON")
    given = parser.parse_args()
    tallies = fuzz(given.n, given.seed, given.jobs, given.keep, given.only)
    show(tallies)
    failed = sum(len(tally.failures) for tally in tallies.values())
    if given.output is not None:
        rows = {
            ending: {
                "files": tally.outcomes.total(),
                **{name: tally.outcomes[name] for name in ("result", "error", *BAD)},
                "codes": dict(sorted(tally.codes.items())),
                "slowest_s": round(tally.slowest, 3),
                "largest_bytes": tally.largest,
                "failures": tally.failures,
            }
            for ending, tally in tallies.items()
        }
        value = {"schema": "nirbridge.fuzz/1", "files": given.n, "seed": given.seed, "failed": failed,
                 "python": platform.python_version(), "h5py": h5py.__version__,
                 "hdf5": h5py.version.hdf5_version, "numpy": np.__version__, "endings": rows}  # fmt: skip
        given.output.write_text(json.dumps(value, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
