"""Write an integer network as a NetX file (LOIHI2.md §2 "Writing"): what the published loader reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nirbridge.errors import Unsupported
from nirbridge.io.atomic import atomic_path
from nirbridge_loihi2.layers import INPUT, MAX_DELAY, Connection, IntegerNetwork, Ints, Layer

_TYPES = {"lif": "CUBA", "delta": "SDNN", "sigma-delta": "SDNN", "rf": "RF", "rf-iz": "RF_IZ"}


def write_net(path: Path | str, network: IntegerNetwork) -> None:
    """Write a network whose layers stand in a chain, atomically.

    Weights are float32 with integer values, layer types S10 of shape (1,), decays and thresholds one
    integer a population, delays integers (out, in). A layer that nothing feeds becomes an input layer
    with neurons; a `flatten` layer stands wherever (C, H, W) enters a dense one.

    Raises `Unsupported` (NB202, NB206, NB207, NB208, NB212) for what the format cannot say.
    """
    path = Path(path)
    layers = _layers(network)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for at, values in enumerate(layers):
            _put(file.create_group(f"layer/{at}"), values)


def _put(group: h5py.Group, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _put(group.create_group(key), value)
        elif isinstance(value, str):
            group.create_dataset(key, data=value, dtype=h5py.string_dtype("ascii"))
        else:
            group.create_dataset(key, data=value)


def _refuse(code: str, layer: Layer, found: str, fix: str) -> Unsupported:
    return Unsupported(f"layer '{layer.name}': {found}; a NetX file cannot hold it", code=code, fix=fix)


def _type(name: str) -> Any:
    return np.array([name.encode()], dtype="S10")


def _layers(network: IntegerNetwork) -> list[dict[str, Any]]:
    first = network.layers[0]
    into_first = network.into(0)
    result: list[dict[str, Any]] = []
    shape: tuple[int, ...] = (network.n_inputs,)
    if into_first:
        windows = [c.window for c in into_first if c.window is not None]
        shape = windows[0].source if windows else shape
        result.append({"type": _type("input"), "shape": np.array(shape, dtype=np.int64)})
    for at, layer in enumerate(network.layers):
        into = network.into(at)
        forward = [c for c in into if c.source != at]
        loops = [c for c in into if c.source == at]
        if layer is first and not into:
            shape = layer.shape
            values = {"type": _type("input"), "shape": np.array(shape, dtype=np.int64)}
        elif [c.source for c in forward] != [INPUT if at == 0 else at - 1] or len(loops) > 1:
            found = f"is fed by {len(forward)} connections from before and {len(loops)} of its own"
            raise _refuse("NB202", layer, found, "keep a chain of layers, each fed by the one before it")
        else:
            if len(shape) > 1 and forward[0].window is None:
                size = int(np.prod(shape))
                result.append({"type": _type("flatten"), "shape": np.array([size], dtype=np.int64)})
            values = _weighted(layer, forward[0], loops[0] if loops else None)
            shape = layer.shape
        result.append({**values, "neuron": _neuron(layer)})
    return result


def _weighted(layer: Layer, forward: Connection, loop: Connection | None) -> dict[str, Any]:
    for c in (forward, loop):
        if c is not None:
            _check(layer, c)
    if forward.window is not None:
        w = forward.window
        if loop is not None:
            raise _refuse("NB202", layer, "is a recurrent convolution", "use a dense recurrent layer")
        return {
            "type": _type("conv"),
            "shape": np.array(w.target, dtype=np.int64),
            "inChannels": w.source[0],
            "outChannels": w.target[0],
            **{
                key: np.array(value, dtype=np.int64)
                for key, value in (
                    ("kernelSize", w.kernel),
                    ("stride", w.stride),
                    ("padding", w.padding),
                    ("dilation", w.dilation),
                )
            },
            "groups": w.groups,
            "weight": forward.weight.astype(np.float32),
            "bias": _biases(layer, w.target[0]),
        }
    weight = forward.weight
    values: dict[str, Any] = {
        "type": _type("dense" if loop is None else "dense_rec"),
        "shape": np.array([layer.size], dtype=np.int64),
        "inFeatures": weight.shape[1],
        "outFeatures": layer.size,
        "bias": _biases(layer, layer.size),
    }
    if layer.ports == 2:
        real, imaginary = np.split(weight.astype(np.float32), 2)
        values["weight"] = {"real": real, "imag": imaginary}
    else:
        values["weight"] = weight.astype(np.float32)
    if forward.max_delay:
        values["delay"] = forward.delay
    if loop is not None:
        values["weight_rec"] = loop.weight.astype(np.float32)
        if loop.max_delay:
            values["delay_rec"] = loop.delay
    return values


def _check(layer: Layer, c: Connection) -> None:
    low, high = int(c.weight.min(initial=0)), int(c.weight.max(initial=0))
    if c.exponent or low < -256 or high > (254 if low < 0 else 255):
        raise _refuse("NB212", layer, f"connection '{c.name}' has weights in [{low}, {high}] and exponent "
                      f"{c.exponent}", "quantise to [-256, 254] and exponent 0")  # fmt: skip
    if c.max_delay > MAX_DELAY:
        found = f"connection '{c.name}' has a delay of {c.max_delay} steps, expected 0 to {MAX_DELAY}"
        raise _refuse("NB208", layer, found, "shorten the delays")


def _one(layer: Layer, what: str, values: Ints) -> int:
    if np.ptp(values):
        raise _refuse("NB206", layer, f"{what} differs between neurons ({values.min()} to {values.max()})",
                      "split the layer, one value each")  # fmt: skip
    return int(values.flat[0])


def _biases(layer: Layer, groups: int) -> Any:
    """Bias mantissas, (n,) or one a channel, at NetX's exponent 6 (sigma-delta: as the states)."""
    exponent = layer.spike_exp + layer.state_exp if layer.kind in ("delta", "sigma-delta") else 6
    by_group = layer.bias.reshape(groups, -1)
    if np.any(by_group != by_group[:, :1]):
        raise _refuse("NB207", layer, "biases differ within a channel", "use one bias a channel")
    bias = by_group[:, 0]
    if np.any(bias & ((1 << exponent) - 1)):
        raise _refuse("NB207", layer, f"biases are no multiples of 2^{exponent}",
                      "round the biases to whole weight steps")  # fmt: skip
    return (bias >> exponent).astype(np.float32)


def _neuron(layer: Layer) -> dict[str, Any]:
    if layer.kind not in _TYPES:
        raise _refuse("NB201", layer, f"has {layer.kind} neurons", "end with a layer that NetX deploys")
    values: dict[str, Any] = {"type": _TYPES[layer.kind], "refDelay": 1}
    threshold = _one(layer, "vThMant", layer.threshold)
    decay_u, decay_v = _one(layer, "iDecay", layer.decay_u), _one(layer, "vDecay", layer.decay_v)
    if layer.ports == 2:
        values |= {"sinDecay": decay_u, "cosDecay": decay_v}
    elif layer.kind == "lif":
        values |= {"iDecay": decay_u, "vDecay": decay_v}
    return {**values, "vThMant": threshold, "gradedSpike": layer.kind in ("delta", "sigma-delta")}
