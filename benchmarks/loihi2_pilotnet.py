"""PilotNet against its chip: cores, counters, time of a step by phase, energy, with every residual.

Run: python benchmarks/loihi2_pilotnet.py ../shared/golden/loihi2   (writes results/loihi2_pilotnet.json)
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from nirbridge_loihi2.pilotnet import measure, run

RESULT = Path(__file__).parent / "results" / "loihi2_pilotnet.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of pilotnet.net, pilotnet.npz and pilotnet.json")
    options = parser.parse_args()
    run(options.folder / "pilotnet.net", steps=1)  # compiles
    began = time.perf_counter()
    outcome = run(options.folder / "pilotnet.net", steps=128)
    wall = time.perf_counter() - began
    found = measure(outcome)
    published = json.loads((options.folder / "pilotnet.json").read_text())
    with np.load(options.folder / "pilotnet.npz", allow_pickle=False) as file:
        chip_core, chip_synops = file["chip_core"], file["chip_core_synops"]
    ours = 10_000 * found.core_synops[64:128].mean(axis=0)[chip_core]
    by_phase = published["digitised"]["time_by_phase_us"]
    chip = {int(key[-1]): float(us) for key, us in by_phase.items()}
    energy = 1e6 * published["published"]["dynamic_power_w"] * 1e-6 * published["published"]["mean_step_us"]
    result: dict[str, Any] = {
        "cores": sum(part.cores for part in outcome.parts),
        "core_synops_worst_error_pct": round(100 * float(np.abs(ours / chip_synops - 1).max()), 3),
        "mean_step_us": _row(1e6 * found.latency.value, published["published"]["mean_step_us"]),
        "mean_step_interval_us": [round(1e6 * x, 2) for x in (found.latency.low, found.latency.high)],
        "phases_us": {str(k): _row(1e6 * found.phases[k], chip[k]) for k in (1, 2, 3, 0)},
        "dynamic_uj": _row(1e6 * found.dynamic.value, energy),
        "dynamic_interval_uj": [round(1e6 * x, 2) for x in (found.dynamic.low, found.dynamic.high)],
        "steps_per_s": round(128 / wall, 1),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def _row(model: float, chip: float) -> dict[str, float]:
    return {
        "model": round(model, 2),
        "published": round(chip, 2),
        "error_pct": round(100 * (model / chip - 1), 1),
    }


if __name__ == "__main__":
    main()
