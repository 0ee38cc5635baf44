"""Family eventprop: networks in the modes `step`, `substep` and in continuous time, with every gradient."""

from __future__ import annotations

import json
from math import exp
from typing import Any

import eventprop_exact
import eventprop_substep
import numpy as np
from eventprop_step import Case, backward, forward

DT = 1e-3


def omega(case: Case) -> np.ndarray:
    """Weight of each step's mean in the logits, dt included."""
    steps = case["n_steps"]
    if case["loss"] == "xent_exp":
        return np.array([exp(-(k + 0.5) / steps) / steps for k in range(steps)])
    return np.full(steps, 1 / steps)


def losses(case: Case, means: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits and errors p − 1[y], (samples, outputs), and the loss of each sample, from its step means."""
    z = np.array([omega(case) @ mean for mean in means])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    own = np.arange(len(z)), case["labels"]
    error = p.copy()
    error[own] -= 1
    return z, error, -np.log(p[own])


def solve(case: Case) -> Case:
    """The case with spikes, loss and gradients."""
    batch, last = case["n_samples"], len(case["sizes"]) - 1
    runs = [forward(case, b) for b in range(batch)]
    z, error, loss = losses(case, [np.array(run.mean) for run in runs])
    rate = json.loads(case["loss_params"]).get("rate_reg")
    regular = {}
    for layer in range(1, last + 1):
        counts = np.zeros(case["sizes"][layer])
        for spike in (s for run in runs for s in run.spikes if s.layer == layer):
            counts[spike.unit] += 1 / batch
        regular[layer] = np.zeros(len(counts))
        if rate and case["kinds"][layer] == "lif":
            strength = np.where(counts > rate["nu"], rate["rho_upper"], rate["rho_lower"])
            regular[layer] = strength * (counts - rate["nu"])
    total: Case = {}
    for b, run in enumerate(runs):
        pull = omega(case)[:, None] * error[b]
        for name, value in backward(case, b, run, pull, regular).items():
            total[f"g_{name}"] = total.get(f"g_{name}", 0) + value / batch
    for name in ("v_th", "v_reset"):
        del total[f"g_{name}_{last}"]
    ordered = [sorted(run.spikes, key=lambda s: (s.step, s.layer, s.unit)) for run in runs]
    flat = [s for spikes in ordered for s in spikes]
    return case | {
        "spk_steps": np.array([s.step for s in flat]),
        "spk_times": np.array([(s.step + 1) * DT for s in flat]),
        "spk_layers": np.array([s.layer for s in flat]),
        "spk_units": np.array([s.unit for s in flat]),
        "spk_offsets": np.cumsum([0] + [len(spikes) for spikes in ordered]),
        "loss_value": loss.mean(),
        "loss_per_sample": loss,
        "readout": z,
        "margin": min(run.margin for run in runs),
        **total,
    }


def finite_differences(case: Case) -> dict[str, float]:
    """Relative difference of the read-out's gradients from central finite differences of the loss."""
    last = len(case["sizes"]) - 1
    weight = next(c for c, (_, post) in enumerate(case["conn"]) if post == last)
    found = {}
    for name in (f"w_{weight}", f"tau_mem_{last}", f"tau_syn_{last}", f"v_leak_{last}"):
        expected, scale = np.zeros_like(case[name]), max(1e-3, float(np.abs(case[name]).max()))
        for at in np.ndindex(case[name].shape):
            values = []
            for h in (-2e-3, -1e-3, 1e-3, 2e-3):
                moved = case | {name: case[name].copy()}
                moved[name][at] += h * scale
                runs = [forward(moved, b) for b in range(case["n_samples"])]
                values.append(losses(case, [np.array(run.mean) for run in runs])[2].mean())
            expected[at] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12e-3 * scale)
        gradient = case[f"g_{name}"]
        found[f"g_{name}"] = float(np.linalg.norm(gradient - expected) / np.linalg.norm(expected))
    assert max(found.values()) < 1e-7, found
    return found


def network(rng: np.random.Generator, sizes: list[int], loops: bool, steps: int, events: int) -> Case:
    """A stack with heterogeneous time constants, and its input: 2 samples of ``events`` spikes."""
    count = len(sizes)
    conn = [(at, at + 1) for at in range(count - 1)]
    if loops:
        conn += [(at, at) for at in range(1, count - 1)]
    case: Case = {
        "T": steps * DT,
        "sizes": np.array(sizes),
        "kinds": np.array(["input"] + ["lif"] * (count - 2) + ["li"]),
        "conn": np.array(conn),
        "conn_latency": np.array([int(pre == post) for pre, post in conn]),
        "n_samples": 2,
        "labels": rng.integers(0, sizes[-1], 2),
        "time_model": "grid",
        "grid_mode": "step",
        "dt": DT,
        "n_steps": steps,
    }
    for at in range(1, count):
        n, spiking = sizes[at], at < count - 1
        case |= {
            f"tau_mem_{at}": rng.uniform(0.016, 0.024, n),
            f"tau_syn_{at}": rng.uniform(0.004, 0.006, n),
            f"v_th_{at}": np.ones(n),
            f"v_reset_{at}": rng.uniform(-0.1, 0.1, n) if spiking else np.zeros(n),
            f"v_leak_{at}": rng.uniform(-0.1, 0.1, n),
            f"t_ref_{at}": np.zeros(n),
            f"alif_b_{at}": np.zeros(n),
            f"alif_tau_{at}": np.full(n, 0.05),
        }
    for c, (pre, post) in enumerate(conn):
        mean, spread = (0.0, 0.4) if pre == post or post == count - 1 else (0.9, 0.5)
        case[f"w_{c}"] = rng.normal(mean, spread, (sizes[pre], sizes[post]))
    when = [np.sort(rng.choice(steps * sizes[0] * 2 // 3, events, replace=False)) for _ in range(2)]
    case["in_steps"] = np.concatenate(when) // sizes[0]
    case["in_units"] = np.concatenate(when) % sizes[0]
    case["in_offsets"] = np.array([0, events, 2 * events])
    return case


def eventprop_cases() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(41)
    rate = {"rate_reg": {"rho_lower": 0.001, "rho_upper": 0.002, "nu": 3}}
    drafts = {
        "step_small_rec_exp": network(rng, [5, 6, 3], loops=True, steps=40, events=30)
        | {"loss": "xent_exp", "loss_params": json.dumps(rate)},
        "step_small_stack_mean": network(rng, [4, 6, 5, 3], loops=False, steps=36, events=26)
        | {"loss": "xent_mean", "loss_params": "{}"},
    }
    cases = {}
    for name, draft in drafts.items():
        case = solve({"format": "eventprop-golden-1", "case": name, **draft})
        assert case["margin"] > 1e-4 and len(case["spk_steps"]) > 20, (case["margin"], len(case["spk_steps"]))
        cases[name] = case | {"fd_rel": json.dumps(finite_differences(case))}
    return cases | {"exact_small_ttfs": exact_case(rng), "substep_small_rec": substep_case(rng)}


def substep_case(rng: np.random.Generator) -> Case:
    """A recurrent hidden layer whose spikes meet within a step, and a read-out that does not spike."""
    draft = network(rng, [4, 5, 3], loops=True, steps=30, events=22)
    draft |= {"conn_latency": np.zeros(len(draft["conn"]), int), "grid_mode": "substep"}
    draft |= {"loss": "xent_mean", "loss_params": "{}"}
    case = eventprop_substep.solve({"format": "eventprop-golden-1", "case": "substep_small_rec", **draft})
    per_step = np.bincount(case["spk_steps"])
    assert len(case["spk_steps"]) > 20 and per_step.max() > 1, per_step
    return case | {"fd_rel": json.dumps(along(case, eventprop_substep.solve, rng))}


def exact_case(rng: np.random.Generator) -> Case:
    """Inputs and feedback arrive late, outputs spike; the loss is on first spikes."""
    draft = network(rng, [4, 5, 3], loops=True, steps=40, events=20)
    for name in ("dt", "n_steps", "grid_mode", "conn_latency", "in_steps", "in_units"):
        del draft[name]
    draft["kinds"][-1] = "lif"
    draft["w_1"] = rng.normal(1.2, 0.3, (5, 3))
    draft["v_reset_2"] = rng.uniform(-0.1, 0.1, 3)
    draft |= {
        "time_model": "exact",
        "in_times": np.sort(rng.uniform(1e-3, 25e-3, (2, 20)), axis=1).reshape(-1),
        "in_units": rng.integers(0, 4, 40),
        "delay_0": rng.uniform(0.2e-3, 4e-3, (4, 5)),
        "delay_2": rng.uniform(0.5e-3, 4e-3, (5, 5)),
        "loss": "ttfs_xent",
        "loss_params": json.dumps({"tau0": 2e-3, "tau1": 1e-2, "alpha": 1e-2}),
    }
    case = eventprop_exact.solve({"format": "eventprop-golden-1", "case": "exact_small_ttfs", **draft})
    assert len(case["spk_times"]) > 20 and (case["readout"] < case["T"]).all(), case["readout"]
    return case | {"fd_rel": json.dumps(along(case, eventprop_exact.solve, rng))}


def along(case: Case, solve: Any, rng: np.random.Generator) -> dict[str, float]:
    """Relative difference of the gradient along a random direction from a finite difference of the loss."""
    names = [name.removeprefix("g_") for name in case if name.startswith("g_")]
    size = {name: max(float(np.abs(case[name]).mean()), 0.1 if "v_" in name else 0.0) for name in names}
    way = {name: rng.normal(size=case[name].shape) * size[name] for name in names}
    ends = []
    for h in (-1e-5, 1e-5):
        found = solve(case | {name: case[name] + h * way[name] for name in names})
        assert np.array_equal(found["spk_units"], case["spk_units"])
        ends.append(float(found["loss_value"]))
    expected = (ends[1] - ends[0]) / 2e-5
    gradient = sum(float((case[f"g_{name}"] * way[name]).sum()) for name in names)
    relative = abs(gradient - expected) / abs(expected)
    assert relative < 1e-6, relative
    return {"direction": relative}
