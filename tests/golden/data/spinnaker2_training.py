"""Family spinnaker2, on-chip EventProp: every state of every step as arrays, straight from the equations."""

from __future__ import annotations

from typing import Any

import numpy as np

CONSTANTS = {
    "c_dt": 1e-3,
    "c_tau_m": 15e-3,
    "c_tau_s": 4e-3,
    "c_vth": 1.0,
    "c_xi": 1.2,
    "c_alpha_r": 0.01,
    "c_beta_r": 20.0,
}


def layer(spikes: np.ndarray, w: np.ndarray, c: dict[str, float]) -> dict[str, np.ndarray]:
    """Forward: spikes (T, B, m) through w (n, m)."""
    alpha, beta = np.exp(-c["c_dt"] / c["c_tau_s"]), np.exp(-c["c_dt"] / c["c_tau_m"])
    shape = (*spikes.shape[:2], len(w))
    s = {name: np.zeros(shape) for name in ("I", "V_pre", "V_post", "spikes")}
    for i in range(1, len(spikes)):
        s["I"][i] = alpha * s["I"][i - 1] + spikes[i - 1] @ w.T
        s["V_pre"][i] = beta * s["V_post"][i - 1] + (1 - beta) * s["I"][i]
        s["spikes"][i] = s["V_pre"][i] > c["c_vth"]
        s["V_post"][i] = np.where(s["spikes"][i] == 1, 0.0, s["V_pre"][i])
    return s


def adjoint(
    s: dict[str, np.ndarray], spikes: np.ndarray, w: np.ndarray, g: np.ndarray, c: dict[str, float]
) -> dict[str, np.ndarray]:
    """Backward of `layer` with G (T, B, n): λV, λI, E and each sample's gradient (B, n, m)."""
    alpha, beta = np.exp(-c["c_dt"] / c["c_tau_s"]), np.exp(-c["c_dt"] / c["c_tau_m"])
    a = {"lV": np.zeros_like(g), "lI": np.zeros_like(g), "E": np.zeros(spikes.shape)}
    a["gw"] = np.zeros((spikes.shape[1], *w.shape))
    for i in range(len(spikes) - 2, -1, -1):
        a["E"][i] = (a["lV"][i + 1] - a["lI"][i + 1]) @ w
        a["lI"][i] = alpha * a["lI"][i + 1] + (1 - alpha) * a["lV"][i + 1]
        slope = s["I"][i + 1] - s["V_pre"][i + 1] + 1e-10
        jump = s["spikes"][i + 1] * (a["lV"][i + 1] + g[i + 1]) / slope
        a["lV"][i] = beta * a["lV"][i + 1] + jump
        a["gw"] -= c["c_tau_s"] * a["lI"][i][:, :, None] * spikes[i][:, None, :]
    return a


def loss(out: np.ndarray, labels: np.ndarray, c: dict[str, float]) -> dict[str, Any]:
    """First spikes (B, n), L, its cross-entropy, and G (T, B, n)."""
    steps, batch, n = out.shape
    t = np.where(out.any(axis=0), out.argmax(axis=0), steps).astype(float)
    p = np.exp(-t / c["c_xi"])
    p /= p.sum(axis=1, keepdims=True)
    right = np.eye(n)[labels]
    late = np.exp((t * right).sum(axis=1) / c["c_beta_r"])
    entropy = -np.log((p * right).sum(axis=1)).mean()
    g = -(p - right) / c["c_xi"] + right * (c["c_alpha_r"] / c["c_beta_r"] * late)[:, None]
    grid = np.zeros(out.shape)
    for b in range(batch):
        for k in range(n):
            if t[b, k] <= steps - 2:
                grid[int(t[b, k]), b, k] = g[b, k] / batch
    value = entropy + c["c_alpha_r"] * (late - 1).mean()
    return {"first_spike": t, "loss": value, "ce": entropy, "grad_out": grid}


def batch_of(
    w0: np.ndarray, w1: np.ndarray, spikes: np.ndarray, labels: np.ndarray, c: dict[str, float]
) -> dict[str, Any]:
    """One batch forward and backward, in the keys of the golden folder's README."""
    hidden = layer(spikes, w0, c)
    out = layer(hidden["spikes"], w1, c)
    found = loss(out["spikes"], labels, c)
    back = adjoint(out, hidden["spikes"], w1, found["grad_out"], c)
    below = adjoint(hidden, spikes, w0, back["E"], c)
    case: dict[str, Any] = {**found, "err_hid": back["E"]}
    for name, s, a in (("hid", hidden, below), ("out", out, back)):
        case[f"{name}_spikes"] = s["spikes"].astype(np.uint8)
        case |= {f"{name}_{key}": s[key] for key in ("V_pre", "V_post", "I")}
        case |= {f"{name}_{key}": a[key] for key in ("lV", "lI")}
    for at, a in enumerate((below, back)):
        case[f"gw{at}_per_sample"], case[f"gw{at}"] = a["gw"], a["gw"].sum(axis=0)
    return case


def start(rng: np.random.Generator, sizes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = sizes
    w0 = rng.normal(2.5, 3.0, (b, a)) / np.sqrt(a)
    w1 = rng.normal(4.0, 2.5, (c, b)) / np.sqrt(b)
    return w0.astype(np.float32), w1.astype(np.float32)


def one_batch(rng: np.random.Generator) -> dict[str, Any]:
    """4-7-3, T 18, batch 3."""
    w0, w1 = start(rng, (4, 7, 3))
    spikes = (rng.random((18, 3, 4)) < 0.25).astype(np.uint8)
    labels = np.array([0, 2, 1])
    case = batch_of(w0.astype(float), w1.astype(float), spikes, labels, CONSTANTS)
    return {"w0": w0, "w1": w1, "in_spikes": spikes, "labels": labels, **CONSTANTS, **case}


def training(rng: np.random.Generator) -> dict[str, Any]:
    """4-7-3, T 18, batch 3, 5 updates."""
    w0, w1 = start(rng, (4, 7, 3))
    spikes = (rng.random((5, 18, 3, 4)) < 0.25).astype(np.uint8)
    labels = rng.integers(0, 3, (5, 3))
    option = {"lr": 5e-3, "gamma": 0.8, "steps_per_epoch": 3, "weight_decay": 1e-5}
    option |= {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    case: dict[str, Any] = {"w0": w0, "w1": w1, "in_spikes": spikes, "labels": labels, **CONSTANTS, **option}
    w = [w0.astype(float), w1.astype(float)]
    m, v = [np.zeros_like(x) for x in w], [np.zeros_like(x) for x in w]
    traces: dict[str, list[Any]] = {key: [] for key in ("loss", "n_spikes", "w0_after", "w1_after")}
    for k in range(1, 6):
        done = batch_of(*w, spikes[k - 1], labels[k - 1], CONSTANTS)
        rate = option["lr"] * option["gamma"] ** ((k - 1) / option["steps_per_epoch"])
        for at in (0, 1):
            g = done[f"gw{at}"] + option["weight_decay"] * w[at]
            m[at] = option["beta1"] * m[at] + (1 - option["beta1"]) * g
            v[at] = option["beta2"] * v[at] + (1 - option["beta2"]) * g * g
            root = np.sqrt(v[at]) / np.sqrt(1 - option["beta2"] ** k) + option["eps"]
            w[at] = w[at] - rate / (1 - option["beta1"] ** k) * m[at] / root
            traces[f"w{at}_after"].append(w[at])
        traces["loss"].append(done["loss"])
        traces["n_spikes"].append([int(done["hid_spikes"].sum()), int(done["out_spikes"].sum())])
    case |= {key: np.array(values) for key, values in traces.items()}
    return {**case, "m0": m[0], "v0": v[0], "m1": m[1], "v1": v[1]}


def training_cases() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(77)
    return {"eventprop_tiny_f64": one_batch(rng), "training_tiny_f64": training(rng)}
