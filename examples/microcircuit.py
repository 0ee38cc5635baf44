"""The cortical microcircuit under 1 mm² of surface (Potjans & Diesmann 2014) as a generated NIR network.

    python examples/microcircuit.py [--scale 0.1] [--seconds 1] [--background poisson|dc] [--json FILE]

Eight populations of leaky integrate-and-fire neurons with exponential synaptic currents, in mV, pA and
seconds, membrane relative to rest. At a scale s < 1 neurons and in-degrees are s times those of the model,
weights grow by 1/√s, and a constant current keeps the mean input (van Albada, Helias & Diesmann 2015).
Differences from the paper: no refractory period of 2 ms (NIR has none), one delay per sending neuron instead
of one per synapse, no thalamic input; membranes start at rest, with a constant background from events in
step 0 that spread them. Numbers: Cereb. Cortex 24:785, table 5.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import nir
import numpy as np

from nirbridge.graph import make
from nirbridge.network import SparseWeight
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes

NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
NEURONS = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])  # 77,169
PROBABILITY = np.array(  # [target, source]: a pair has at least one synapse
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
BACKGROUND = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])  # synapses a neuron, 8 Hz each
PUBLISHED_HZ = np.array([0.86, 2.80, 4.45, 5.93, 7.59, 8.64, 1.09, 7.88])  # table 6, Poisson background
BACKGROUND_HZ, DT = 8.0, 1e-4
TAU_MEM, TAU_SYN, CAPACITY = 10e-3, 0.5e-3, 250.0  # s, s, pF
THRESHOLD = 15.0  # mV above rest and reset
WEIGHT, SPREAD, INHIBITION = 87.8, 0.1, -4.0  # pA, relative standard deviation, times the excitatory
START = 7.0, 10.0  # mV above rest, mean and standard deviation of the membranes at the start
POTENTIAL = 0.15  # mV, peak of the potential of one synapse
DELAY = {"E": (1.5e-3, 0.75e-3), "I": (0.8e-3, 0.4e-3)}  # s, mean and standard deviation by the source


def synapses() -> np.ndarray:
    """Synapses of every [target, source] at full scale, from the probability of at least one."""
    pairs = np.outer(NEURONS, NEURONS).astype(float)
    return np.log(1 - PROBABILITY) / np.log1p(-1 / pairs)


def weights() -> np.ndarray:
    """Mean weight [pA] of every [target, source] at full scale."""
    inhibitory = np.array([name.endswith("I") for name in NAMES])
    mean = np.where(inhibitory, INHIBITION, 1.0)[None, :] * np.full((8, 8), WEIGHT)
    mean[0, 2] *= 2  # L4E to L23E
    return mean


def constant_current(scale: float, background: str) -> np.ndarray:
    """Constant current [pA] into every population: what down-scaling takes away, and the background as DC."""
    indegree = synapses() / NEURONS[:, None]
    recurrent = (weights() * indegree) @ PUBLISHED_HZ
    outer = WEIGHT * BACKGROUND * BACKGROUND_HZ
    lost = TAU_SYN * (1 - np.sqrt(scale)) * recurrent
    if background == "dc":
        return lost + TAU_SYN * outer
    return lost + TAU_SYN * (1 - np.sqrt(scale)) * outer


def cells(current: float, n: int) -> nir.CubaLIF:
    """n neurons; an arriving weight w [pA] makes the current w, which decays with τ_syn."""
    return nir.CubaLIF(
        tau_mem=np.full(n, TAU_MEM),
        tau_syn=np.full(n, TAU_SYN),
        r=np.full(n, TAU_MEM * 1e3 / CAPACITY),  # mV/pA
        v_leak=np.full(n, TAU_MEM * 1e3 / CAPACITY * current),
        v_threshold=np.full(n, THRESHOLD),
        v_reset=np.zeros(n),
        w_in=np.full(n, TAU_SYN),
    )


def microcircuit(scale: float, rng: np.random.Generator, background: str = "poisson") -> nir.NIRGraph:
    """The network at a scale in (0, 1], synapses drawn with replacement as in the paper.

    Inputs ``in0`` … ``in7``: background events of every neuron, one unit each, in the order of `NAMES`.
    """
    size = np.maximum(np.round(NEURONS * scale).astype(int), 1)
    count = np.round(synapses() * scale * scale).astype(int)
    mean, drive = weights() / np.sqrt(scale), constant_current(scale, background)
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    for k, name in enumerate(NAMES):
        n = int(size[k])
        middle, spread = DELAY[name[-1]]
        # a loop takes one step by itself
        delay = np.maximum(np.round(rng.normal(middle, spread, n) / DT), 1) * DT - DT
        each = np.full(n, WEIGHT / np.sqrt(scale), np.float32)
        units = np.arange(n + 1)
        nodes[f"in{k}"] = nir.Input(np.array([n]))
        nodes[f"ext{k}"] = nir.Linear(SparseWeight(units, units[:-1].astype(np.int32), each, n))
        nodes[name], nodes[f"d{k}"] = cells(float(drive[k]), n), nir.Delay(delay)
        edges += [(f"in{k}", f"ext{k}"), (f"ext{k}", name), (name, f"d{k}")]
    for to, target in enumerate(NAMES):
        for k in range(8):
            if count[to, k]:
                name = f"{NAMES[k]}_{target}"
                nodes[name] = nir.Linear(_drawn(rng, int(count[to, k]), size[k], size[to], mean[to, k]))
                edges += [(f"d{k}", name), (name, target)]
    nodes["output"] = nir.Output(np.array([size[0]]))
    edges.append((NAMES[0], "output"))
    return with_semantics(
        make(nodes, edges), Semantics(dt=DT, decay="exact", gain="dirac", order="exact", compare=">=")
    )


def _drawn(rng: np.random.Generator, count: int, n_pre: int, n_post: int, mean: float) -> SparseWeight:
    """``count`` synapses between random pairs, normal weights that keep their sign."""
    start = np.concatenate([[0], np.cumsum(np.bincount(rng.integers(0, n_pre, count), minlength=n_pre))])
    targets = rng.integers(0, n_post, count, dtype=np.int32)
    value = np.abs(mean) * (1 + SPREAD * rng.standard_normal(count, dtype=np.float32))
    return SparseWeight(
        start, targets, (np.sign(mean) * np.maximum(value, 0)).astype(np.float32), int(n_post)
    )


def poisson(scale: float, seconds: float, rng: np.random.Generator) -> Spikes:
    """Background events of all neurons, the number of each unit in each step as its value."""
    size = np.maximum(np.round(NEURONS * scale).astype(int), 1)
    n, steps = int(size.sum()), round(seconds / DT)
    rate = np.repeat(BACKGROUND * scale * BACKGROUND_HZ, size)
    per_population = rng.poisson(rate.sum() * seconds)
    unit = rng.choice(n, per_population, p=rate / rate.sum())
    key, value = np.unique(rng.integers(0, steps, per_population) * n + unit, return_counts=True)
    return Spikes(
        (key // n) * DT,
        (key % n).astype(np.int32),
        np.array([0, len(key)]),
        n,
        seconds,
        value.astype(np.int32),
    )


def kick(scale: float, seconds: float, rng: np.random.Generator) -> Spikes:
    """Background events in step 0 alone, as many as spread the membranes: from rest a small network with a
    constant background would stay silent for ever, for most of its mean input is inhibition."""
    n = int(np.maximum(np.round(NEURONS * scale).astype(int), 1).sum())
    height = np.clip(rng.normal(*START, n), 0, THRESHOLD)
    value = np.round(height / POTENTIAL * np.sqrt(scale)).astype(np.int32)
    hit = np.flatnonzero(value).astype(np.int32)
    return Spikes(np.zeros(len(hit)), hit, np.array([0, len(hit)]), n, seconds, value[hit])


def memory(scale: float, seconds: float, background: str) -> float:
    """Bytes that a run takes at most, about: synapses as drawn and as lowered, events of the background."""
    count = np.round(synapses() * scale * scale)
    kept, drawing = 14 * count.sum(), 24 * count.max()
    events = 0.0
    if background == "poisson":
        events = 60 * seconds * BACKGROUND_HZ * scale * scale * float(NEURONS @ BACKGROUND)
    return float(0.3e9 + kept + max(drawing, events))


def free() -> float:
    """Bytes of memory that are free here; without an answer from the system as many as one likes."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    known = [float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return known[0] if known else float("inf")


def rates(
    scale: float, seconds: float, background: str, rng: np.random.Generator, settle: float = 0.2
) -> tuple[np.ndarray, int, float]:
    """Mean rate [Hz] of every population after ``settle`` seconds, the number of synapses, and the seconds of
    CPU that the run itself took."""
    from nirbridge_reference import Reference

    graph = microcircuit(scale, rng, background)
    total = sum(len(node.weight.values) for name, node in graph.nodes.items() if "_" in name)
    program = Reference(threads=1).compile(graph)
    events = (poisson if background == "poisson" else kick)(scale, seconds, rng)
    began = time.process_time()
    recording = program.run(events, record=NAMES)
    ran = time.process_time() - began
    found = [
        np.sum(recording.spikes[name].times >= settle) / recording.spikes[name].n_units / (seconds - settle)
        for name in NAMES
    ]
    return np.array(found), total, ran


def _scale(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=_scale, default=0.1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--background", choices=("poisson", "dc"), default="poisson")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scale, seconds, background = options.scale, options.seconds, options.background
    if seconds <= 0.2:
        parser.error(f"--seconds {seconds:g}: the first 0.2 s are left out, give more")
    needed, here = memory(scale, seconds, background), free()
    if needed > here:
        parser.error(
            f"scale {scale:g} for {seconds:g} s with {background} background takes about "
            f"{needed / 2**30:.1f} GiB, {here / 2**30:.1f} GiB are free; give a smaller --scale, fewer "
            "--seconds"
            + (f" or --background dc ({memory(scale, seconds, 'dc') / 2**30:.1f} GiB)" * (background != "dc"))
        )
    began = time.process_time()
    found, total, ran = rates(scale, seconds, background, np.random.default_rng(options.seed))
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    neurons = int(np.round(NEURONS * scale).sum())
    print(
        f"scale {scale:g}: {neurons} neurons, {total} synapses, {background} background, {seconds:g} s, "
        f"{cpu:.1f} s of CPU ({ran:.1f} s for the run itself), {peak:.0f} MB"
    )
    print("population  here [Hz]  published [Hz]")
    for name, rate, published in zip(NAMES, found, PUBLISHED_HZ, strict=True):
        print(f"{name:10s}  {rate:9.2f}  {published:14.2f}")
    if options.json is not None:
        row = {
            "scale": scale,
            "background": background,
            "seconds": seconds,
            "neurons": neurons,
            "synapses": total,
            "cpu_s": round(cpu, 2),
            "run_cpu_s": round(ran, 2),
            "peak_mb": round(peak),
            "estimated_mb": round(needed / 1e6),
            "rates_hz": {name: round(float(x), 3) for name, x in zip(NAMES, found, strict=True)},
        }
        options.json.write_text(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
