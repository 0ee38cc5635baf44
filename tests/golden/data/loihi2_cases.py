"""Family loihi2: layers of integer neurons, step by step with Python integers."""

from __future__ import annotations

from typing import Any

import numpy as np

HALF = 1 << 23


def towards_zero(x: int) -> int:
    """x / 4096, rounded towards zero."""
    return (abs(x) >> 12) * (1 if x >= 0 else -1)


def shifted(x: int, exponent: int) -> int:
    return x << exponent if exponent > 0 else x >> -exponent


def stored(weight: np.ndarray, sign: str, bits: int) -> np.ndarray:
    """The weights that a synapse keeps: clipped to eight bits, low bits cut off."""
    if sign == "auto":
        sign = "exc" if weight.min() >= 0 else "inh" if weight.max() <= 0 else "mixed"
    turn, low, cut = (-1 if sign == "inh" else 1), (-256 if sign == "mixed" else 0), 8 - bits
    cut += sign == "mixed"
    kept = np.zeros_like(weight)
    for at in np.ndindex(weight.shape):
        value = min(max(turn * int(weight[at]), low), 255)
        kept[at] = turn * ((value >> cut) << cut)
    return kept


def arrivals(weight: np.ndarray, delay: np.ndarray, x: np.ndarray, exponent: int, ring: np.ndarray) -> None:
    """Adds what vector x sends to ``ring`` (steps ahead, neurons); each delay's sum is shifted by itself."""
    n_post, n_pre = weight.shape
    for i in range(n_post):
        sums: dict[int, int] = {}
        for j in range(n_pre):
            d = int(delay[i, j])
            sums[d] = sums.get(d, 0) + int(weight[i, j]) * int(x[j])
        for d, total in sums.items():
            ring[d, i] += shifted(total, exponent)


def run(case: dict[str, Any]) -> dict[str, Any]:
    """The case with its spikes s (n, T) and states u, v (T, n)."""
    n, n_in = case["W"].shape
    steps = case["inp"].shape[1]
    sign, bits, exponent = case["sign"], case["num_weight_bits"], case["weight_exp"]
    weight = stored(case["W"], sign, bits)
    delay = case.get("delays", np.zeros((n, n_in), int))
    loop = stored(case["Wrec"], sign, bits) if "Wrec" in case else None
    loop_delay = case.get("delays_rec", np.zeros((n, n), int))
    interval, offset = case.get("reset", (0, 0))
    keep_u, keep_v = 4096 - (case["du"] + 1), 4096 - case["dv"]
    u, v = [0] * n, [0] * n
    ahead = np.zeros((64, n), np.int64)  # what is due in 1, 2, … steps
    s = np.zeros((n, steps), np.int32)
    trace_u, trace_v = np.zeros((steps, n), np.int64), np.zeros((steps, n), np.int64)
    for t in range(1, steps + 1):
        due, ahead = ahead[0].copy(), np.vstack([ahead[1:], np.zeros((1, n), np.int64)])
        if interval and t % interval == offset % interval:
            u, v = [0] * n, [0] * n
        for i in range(n):
            mantissa, power = int(case["bias_mant"][i]), int(case["bias_exp"][i])
            u[i] = towards_zero(u[i] * keep_u) + (int(due[i]) << 6)
            if u[i] > HALF:
                u[i] -= 2 * HALF
            elif u[i] <= -HALF:
                u[i] += 2 * HALF
            v[i] = towards_zero(v[i] * keep_v) + u[i] + (mantissa << power)
            v[i] = min(max(v[i], -(HALF - 1)), HALF - 1)
            if v[i] > case["vth"] << 6:
                s[i, t - 1], v[i] = 1, 0
            trace_u[t - 1, i], trace_v[t - 1, i] = u[i], v[i]
        x = case["inp"][:, t - 1]
        arrivals(weight, delay, x if case["msg"] else x != 0, exponent, ahead)
        if loop is not None:
            arrivals(loop, loop_delay, s[:, t - 1], exponent, ahead)
    assert s.sum() > steps // 2, "too few spikes to test anything"
    return {**case, "s": s, "u": trace_u, "v": trace_v}


def drawn(rng: np.random.Generator, n_in: int, n: int, steps: int, **fields: Any) -> dict[str, Any]:
    """A feed-forward layer with random weights, biases and unary input; ``fields`` replace."""
    return {
        "inp": (rng.random((n_in, steps)) < 0.2).astype(np.int32),
        "W": rng.integers(-60, 110, (n, n_in)),
        "du": 700,
        "dv": 200,
        "vth": 220,
        "bias_mant": rng.integers(-60, 60, n),
        "bias_exp": rng.integers(0, 5, n),
        "weight_exp": 0,
        "num_weight_bits": 8,
        "sign": "auto",
        "msg": 0,
    } | fields


def loihi2_cases() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(21)
    delayed = drawn(
        rng,
        8,
        10,
        120,
        weight_exp=-1,
        num_weight_bits=6,
        sign="mixed",
        Wrec=rng.integers(-70, 70, (10, 10)),
        delays=rng.integers(0, 63, (10, 8)),
        delays_rec=rng.integers(0, 63, (10, 10)),
        reset=np.array([32, 5]),
    )
    graded = drawn(
        rng,
        8,
        10,
        100,
        inp=rng.integers(-128, 128, (8, 100)) * (rng.random((8, 100)) < 0.3),
        W=rng.integers(-127, 128, (10, 8)),
        weight_exp=-2,
        sign="mixed",
        msg=8,
        vth=2500,
    )
    return {
        "small_ff": run(drawn(rng, 10, 12, 100)),
        "small_delay_rec": run(delayed),
        "small_graded": run(graded),
    }
