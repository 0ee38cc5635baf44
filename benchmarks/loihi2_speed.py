"""Steps per second of the Loihi 2 loop on a NetX file, counting on, against a plain numpy loop.

Run: python benchmarks/loihi2_speed.py ../shared/golden/loihi2/shd_rec256.net
(inputs are taken from netx_<name>.npz beside the file where that exists, else random).
One sample on one thread; then a batch on one and on two threads. Writes results/loihi2_speed.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from nirbridge.spikes import Spikes
from nirbridge_loihi2.layers import INPUT, IntegerNetwork
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.simulate import cores, events, simulate
from nirbridge_loihi2.tables import tables

RESULT = Path(__file__).parent / "results" / "loihi2_speed.json"


def input_grid(path: Path, n_inputs: int, steps: int) -> np.ndarray:
    """0/1 inputs (n_inputs, steps): the golden input repeated, or 3 % random spikes."""
    case = path.with_name(f"netx_{path.stem}.npz")
    if case.is_file():
        with np.load(case, allow_pickle=False) as file:
            grid = np.asarray(file["inp"])
        return np.tile(grid, (1, -(-steps // grid.shape[1])))[:, :steps]
    return (np.random.default_rng(0).random((n_inputs, steps)) < 0.03).astype(np.int64)


def plain_numpy(network: IntegerNetwork, grid: np.ndarray) -> list[int]:
    """The same arithmetic with one numpy matrix product a connection and step; spikes per layer."""
    a = [np.zeros(n.size, np.int64) for n in network.layers]
    u, v = [x.copy() for x in a], [x.copy() for x in a]
    total = [0] * len(a)
    for t in range(grid.shape[1]):
        fired = []
        for k, n in enumerate(network.layers):
            x = u[k] * (4096 - n.decay_u)
            u[k] = (np.sign(x) * (np.abs(x) >> 12)) + (a[k] << 6)
            u[k] = np.where(u[k] > 1 << 23, u[k] - (1 << 24), u[k])
            y = v[k] * (4096 - n.decay_v)
            v[k] = np.clip(np.sign(y) * (np.abs(y) >> 12) + u[k] + n.bias, -(2**23) + 1, 2**23 - 1)
            s = v[k] > n.threshold << 6
            v[k][s] = 0
            total[k] += int(s.sum())
            fired.append(s)
            a[k] = np.zeros(n.size, np.int64)
        for c in network.connections:
            a[c.target] += c.weight @ (grid[:, t] if c.source == INPUT else fired[c.source])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", type=Path)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--cores", type=int, default=8, help="cores a layer is split over")
    parser.add_argument("--batch", type=int, default=8, help="samples of the batch")
    options = parser.parse_args()
    network = read_net(options.net).network
    grid = input_grid(options.net, network.n_inputs, options.steps)
    unit, step = np.nonzero(grid)
    spikes = Spikes.from_events(
        step, unit, np.zeros(len(step)), n_samples=1, n_units=grid.shape[0], duration=options.steps
    )
    tab = tables(network, [-(-layer.size // min(options.cores, layer.size)) for layer in network.layers])
    inputs = events(spikes, 1.0)
    simulate(tab, inputs, 10, threads=1)
    best = min(_timed(lambda: simulate(tab, inputs, options.steps, threads=1)) for _ in range(5))
    few = min(options.steps, 400)
    slow = min(_timed(lambda: plain_numpy(network, grid[:, :few])) for _ in range(3))
    ours, numpy_rate = options.steps / best, few / slow
    many = events(
        Spikes.from_events(
            np.tile(step, options.batch),
            np.tile(unit, options.batch),
            np.repeat(np.arange(options.batch), len(step)),
            n_samples=options.batch,
            n_units=grid.shape[0],
            duration=options.steps,
        ),
        1.0,
    )
    part = options.steps // 4  # short runs, alternating, so that both meet quiet moments of the machine
    pairs = [[_timed(lambda n=n: simulate(tab, many, part, threads=n)) for n in (1, 2)] for _ in range(24)]
    one, two = np.min(pairs, axis=0)
    result = {
        "network": options.net.name,
        "machine": f"{platform.machine()}, {cores()} cores for this process",
        "cores_counted": tab.n_cores,
        "steps": options.steps,
        "steps_per_s": round(ours),
        "numpy_steps_per_s": round(numpy_rate),
        "ratio": round(ours / numpy_rate, 1),
        "batch": options.batch,
        "batch_steps_per_s": {"1": round(options.batch * part / one),
                              "2": round(options.batch * part / two)},
        "two_threads": round(float(one / two), 2),
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def _timed(job) -> float:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
