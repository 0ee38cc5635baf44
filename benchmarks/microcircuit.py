"""The cortical microcircuit at several scales: rates beside the published ones, time and memory.

    python benchmarks/microcircuit.py [--scales 0.01,0.05,0.1] [--brian2 PYTHON] [--json FILE]

Every row is a process of its own (examples/microcircuit.py). With a Python that has Brian2 its network, which
has the refractory period and a delay for every synapse, runs at the scales up to 0.1 as well.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def example(scale: str, background: str, seconds: float) -> dict[str, object]:
    """One run of the example."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        command = [sys.executable, ROOT / "examples/microcircuit.py", "--scale", scale, "--json", out]
        command += ["--background", background, "--seconds", str(seconds)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return dict(json.loads(out.read_text()))


def brian2(python: Path, scale: str, background: str, seconds: float) -> dict[str, object]:
    """One run of the network in Brian2."""
    command = [python, ROOT / "benchmarks/microcircuit_brian2.py", "--scale", scale]
    command += ["--background", background, "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", default="0.01,0.05,0.1")
    parser.add_argument("--backgrounds", default="poisson,dc")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--brian2", type=Path, metavar="PYTHON")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, others = [], []
    for background in options.backgrounds.split(","):
        for scale in options.scales.split(","):
            rows.append(example(scale, background, options.seconds))
            print(json.dumps(rows[-1]), flush=True)
            if options.brian2 is not None and float(scale) <= 0.1:
                others.append(brian2(options.brian2, scale, background, 2 * options.seconds))
                print(json.dumps(others[-1]), flush=True)
    if options.json is not None:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
        found = {"versions": versions, "processor": platform.machine(), "rows": rows, "brian2": others}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
