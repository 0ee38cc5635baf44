"""The coefficients of one step for every kind of neuron: one small function a node type."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import nir
import numpy as np

from nirbridge.errors import Unsupported
from nirbridge.network.types import Floats, Kind, Population
from nirbridge.semantics import Semantics

NO_V_RESET = ("snntorch", "norse", "spinnaker2", "nengo")  # profiles that reset to 0 whatever the file says


@singledispatch
def population(node: nir.NIRNode, name: str, semantics: Semantics) -> Population:
    """The step coefficients of a stateful node under these semantics (SEMANTICS.md §3)."""
    raise Unsupported(f"node '{name}' ({type(node).__name__}) has no state", code="NB201")


def _shape(node: nir.NIRNode, key: str = "input") -> tuple[int, ...]:
    types = node.input_type if key == "input" else node.output_type
    return tuple(int(n) for n in np.atleast_1d(types[key]))


def _array(value: Any, shape: tuple[int, ...]) -> Floats:
    size = int(np.prod(shape, dtype=np.int64))
    array = np.asarray(value, dtype=np.float64)
    return np.ascontiguousarray(np.broadcast_to(array if array.size > 1 else array.reshape(()), shape)
                                .reshape(size))  # fmt: skip


def _make(name: str, kind: Kind, shape: tuple[int, ...], node: nir.NIRNode, **arrays: Floats) -> Population:
    size = int(np.prod(shape, dtype=np.int64))
    zero, one = np.zeros(size), np.ones(size)
    default: dict[str, Any] = {
        "a_m": zero,
        "b_m": one,
        "leak": zero,
        "a_s": zero,
        "b_s": one,
        "threshold": np.full(size, np.inf),
        "v_reset": zero,
        "v_start": zero,
        "i_start": zero,
        "aux": zero,
        "delay_steps": np.zeros(0, dtype=np.int64),
    }
    return Population(name=name, kind=kind, shape=shape, node=node, **(default | arrays))


@population.register
def _(node: nir.Input, name: str, semantics: Semantics) -> Population:
    return _make(name, "input", _shape(node), node)


@population.register
def _(node: nir.Output, name: str, semantics: Semantics) -> Population:
    return _make(name, "output", _shape(node, "output"), node)


@population.register
def _(node: nir.Delay, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    delay = _array(node.delay, shape) * semantics.time_unit / semantics.dt
    return _make(name, "delay", shape, node, delay_steps=np.floor(delay + 0.5).astype(np.int64))


def _integrator(node: nir.I | nir.IF, shape: tuple[int, ...], semantics: Semantics) -> dict[str, Floats]:
    per = 1.0 if semantics.integrate == "step" else semantics.dt / semantics.time_unit
    one = semantics.gain == "unit" or (semantics.profile == "norse" and isinstance(node, nir.IF))
    r = 1.0 if one else node.r
    size = int(np.prod(shape, dtype=np.int64))
    return {"a_m": np.ones(size), "b_m": per * _array(r, shape)}


def _leaky(node: nir.LI | nir.LIF, shape: tuple[int, ...], semantics: Semantics) -> dict[str, Floats]:
    tau = _array(node.tau, shape)
    if semantics.profile == "ode":
        seconds = tau * semantics.time_unit
        return {"leak": _array(node.v_leak, shape), "b_m": _array(node.r, shape), "aux": seconds}
    a_m = semantics.decay_factor(tau)
    leak = (1.0 - a_m) * _array(node.v_leak, shape)
    one = semantics.gain == "unit" or (semantics.profile == "norse" and isinstance(node, nir.LIF))
    r = 1.0 if one else node.r
    b_m = semantics.input_gain(tau, synapse=False, cuba=False) * _array(r, shape)
    return {"a_m": a_m, "leak": leak, "b_m": b_m, "v_start": _v_start(node, shape, semantics)}


def _cuba(node: nir.CubaLI | nir.CubaLIF, shape: tuple[int, ...], semantics: Semantics) -> dict[str, Floats]:
    tau_m, tau_s = _array(node.tau_mem, shape), _array(node.tau_syn, shape)
    a_m = semantics.decay_factor(tau_m)
    a_s = semantics.decay_factor(tau_s, synapse=True)
    unit = semantics.gain == "unit"
    r, w_in = (1.0, 1.0) if unit else (node.r, node.w_in)
    b_s = semantics.input_gain(tau_s, synapse=True, cuba=True) * _array(w_in, shape)
    if semantics.order == "exact":
        g_m = _exact_coupling(tau_m, tau_s, a_m, a_s, semantics.dt / semantics.time_unit)
    else:
        g_m = semantics.input_gain(tau_m, synapse=False, cuba=True)
    v_leak, start = _array(node.v_leak, shape), _v_start(node, shape, semantics)
    norse = {"aux": (1.0 - a_s) * v_leak, "i_start": start} if semantics.profile == "norse" else {}
    return {
        "a_m": a_m,
        "a_s": a_s,
        "b_s": b_s,
        "b_m": g_m * _array(r, shape),
        "leak": (1.0 - a_m) * v_leak,
        "v_start": start,
        **norse,
    }


def _exact_coupling(tau_m: Floats, tau_s: Floats, a_m: Floats, a_s: Floats, dt: float) -> Floats:
    """c = T_s/(T_m−T_s)·(a_m−a_s), and (dt/T_m)·a_m where T_m = T_s (SEMANTICS.md §3).

    Written as (dt/T_m)·a_m·φ(h·dt) with φ(z) = (1−e^(−z))/z, h = 1/T_s − 1/T_m, which has no
    cancellation for nearby time constants.
    """
    z = dt * (1.0 / tau_s - 1.0 / tau_m)
    small = np.abs(z) < 1e-12
    phi = np.where(small, 1.0, -np.expm1(-z) / np.where(small, 1.0, z))
    return dt / tau_m * a_m * phi


def _v_start(node: Any, shape: tuple[int, ...], semantics: Semantics) -> Floats:
    size = int(np.prod(shape, dtype=np.int64))
    return _array(node.v_leak, shape) if semantics.v_init == "leak" else np.zeros(size)


def _spike(
    node: nir.IF | nir.LIF | nir.CubaLIF, shape: tuple[int, ...], semantics: Semantics
) -> dict[str, Floats]:
    ignored = node.v_reset is None or semantics.profile in NO_V_RESET
    v_reset = 0.0 if ignored else node.v_reset
    return {"threshold": _array(node.v_threshold, shape), "v_reset": _array(v_reset, shape)}


@population.register
def _(node: nir.I, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    return _make(name, "i", shape, node, **_integrator(node, shape, semantics))


@population.register
def _(node: nir.IF, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    return _make(
        name, "if", shape, node, **_integrator(node, shape, semantics), **_spike(node, shape, semantics)
    )


@population.register
def _(node: nir.LI, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    return _make(name, "li", shape, node, **_leaky(node, shape, semantics))


@population.register
def _(node: nir.LIF, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    return _make(name, "lif", shape, node, **_leaky(node, shape, semantics), **_spike(node, shape, semantics))


@population.register
def _(node: nir.CubaLI, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    return _make(name, "cubali", shape, node, **_cuba(node, shape, semantics))


@population.register
def _(node: nir.CubaLIF, name: str, semantics: Semantics) -> Population:
    shape = _shape(node)
    return _make(
        name, "cubalif", shape, node, **_cuba(node, shape, semantics), **_spike(node, shape, semantics)
    )
