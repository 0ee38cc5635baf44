"""A NetX file as an integer network, by the importer's rules with its known defects mended.

Layout, import rule and the table of defects (F mended, R reproduced, X refused): LOIHI2.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Finding, Unsupported
from nirbridge_loihi2.layers import INPUT, MAX_DELAY, Connection, IntegerNetwork, Ints, Layer, filled
from nirbridge_loihi2.netx_file import NetLimits, Values, read_layers
from nirbridge_loihi2.weights import import_rule

NETX_BIAS_EXPONENT = 6
_LIF = ("CUBA", "LOIHI")
_NEURONLESS = {"iDecay": 0, "vDecay": 4096, "vThMant": 1 << 17}


@dataclass(frozen=True, slots=True, eq=False)
class Netx:
    """What a file holds: the network, and what a user should know about it."""

    network: IntegerNetwork
    findings: tuple[Finding, ...]


@dataclass
class _Reading:
    """State of reading one file, layer by layer."""

    where: str
    findings: list[Finding]
    layers: list[Layer]
    connections: list[Connection]
    n_inputs: int = 0
    reset: tuple[int, int] = (0, 0)
    graded: bool = False
    input_bias: Ints | None = None
    shape: tuple[int, ...] = ()

    def note(self, code: str, node: str, message: str, *, error: bool = False) -> None:
        level = "error" if error else "warning"
        text = f"{self.where}: layer {node}: {message}"
        self.findings.append(Finding(code=code, level=level, node=node, message=text))  # type: ignore[arg-type]

    def refuse(self, code: str, node: str, message: str, fix: str) -> Unsupported:
        return Unsupported(f"{self.where}: layer {node}: {message}", code=code, fix=fix)

    @property
    def source(self) -> int:
        return len(self.layers) - 1 if self.layers else INPUT


def read_net(
    path: Path | str,
    *,
    reset_interval: int = 0,
    reset_offset: int = 0,
    message_bits: int = 0,
    input_bias: NDArray[np.integer] | None = None,
    limits: NetLimits | None = None,
) -> Netx:
    """Read ``.net``: layers of type input, dense, dense_rec and flatten.

    reset_interval, reset_offset, message_bits: as the importer's arguments; built layer k is reset
    at ``t mod interval = (offset + 1 + k) mod interval``, input values count where message_bits > 0.
    input_bias: bias mantissas of an input layer that has neurons, in its shape.

    Raises `BadInput` for a broken file and `Unsupported` (NB201) for conv, sigma-delta,
    resonate-and-fire and unknown layers.
    """
    path = Path(path)
    read = _Reading(path.name, [], [], [], reset=(int(reset_interval), int(reset_offset)))
    read.graded = message_bits > 0
    read.input_bias = None if input_bias is None else np.asarray(input_bias, dtype=np.int64).reshape(-1)
    for at, values in enumerate(read_layers(path, limits)):
        _layer(read, str(at), values)
    if not read.layers:
        raise BadInput(f"{path.name}: no layer with neurons", code="NB013", fix="give a trained network")
    network = IntegerNetwork(
        n_inputs=read.n_inputs, layers=tuple(read.layers), connections=tuple(read.connections)
    )
    return Netx(network, tuple(read.findings))


def _layer(read: _Reading, name: str, values: Values) -> None:
    kind = str(values.get("type", "")).strip("\0 ")
    if kind == "input":
        _input(read, name, values)
    elif kind == "flatten":
        read.shape = (int(np.prod(read.shape, dtype=np.int64)),)
    elif kind in ("dense", "dense_rec"):
        _dense(read, name, values, recurrent=kind == "dense_rec")
    else:
        raise read.refuse(
            "NB201",
            name,
            f"type '{kind}' is not supported yet",
            "supported: input, dense, dense_rec, flatten",
        )


def _input(read: _Reading, name: str, values: Values) -> None:
    shape = tuple(int(n) for n in _required(read, name, values, "shape").reshape(-1))
    size = int(np.prod(shape, dtype=np.int64))
    if not 0 < size <= 1 << 24:
        raise BadInput(f"{read.where}: layer {name}: shape {shape} is no input", code="NB117")
    read.shape = shape
    if isinstance(values.get("neuron"), dict):
        mantissa = filled(0, size) if read.input_bias is None else read.input_bias
        if mantissa.size != size:
            raise BadInput(
                f"{read.where}: layer {name}: {mantissa.size} input biases for {size} neurons", code="NB112"
            )
        read.layers.append(_neurons(read, name, values, shape, mantissa << NETX_BIAS_EXPONENT, 8))
        return
    read.n_inputs = size


def _dense(read: _Reading, name: str, values: Values, *, recurrent: bool) -> None:
    n_in = int(np.prod(read.shape, dtype=np.int64)) if read.shape else 0
    weight = _matrix(read, name, values, "weight", n_in)
    n_out, n_in = weight.shape
    if not read.layers and not read.n_inputs:
        read.n_inputs = n_in
    loop = _matrix(read, name, values, "weight_rec", n_out) if recurrent else None
    if loop is not None and loop.shape != (n_out, n_out):
        raise BadInput(
            f"{read.where}: layer {name}: weight_rec has shape {loop.shape}, expected {(n_out, n_out)}",
            code="NB109",
        )
    joint = weight if loop is None else np.concatenate([weight, loop], axis=1)
    _check_range(read, name, joint)
    delay = _delays(read, name, values, "delay", weight.shape)
    delay_rec = _delays(read, name, values, "delay_rec", (n_out, n_out)) if recurrent else None
    bias = _bias(read, name, values, n_out)
    source = read.source
    at = len(read.layers)
    read.layers.append(_neurons(read, name, values, (n_out,), bias, import_rule(joint).bits))
    read.connections.append(
        Connection(
            name=f"{name}.weight",
            source=source,
            target=at,
            weight=weight,
            delay=delay,
            graded=read.graded and source == INPUT,
        )
    )
    if loop is not None:
        read.connections.append(
            Connection(name=f"{name}.weight_rec", source=at, target=at, weight=loop, delay=delay_rec)
        )
    read.shape = (n_out,)


def _neurons(
    read: _Reading, name: str, values: Values, shape: tuple[int, ...], bias: Ints, bits: int
) -> Layer:
    neuron = values.get("neuron")
    if not isinstance(neuron, dict):
        read.note("NB206", name, "no neuron group: iDecay 0, vDecay 4096 and threshold 2^17 are taken, "
                  "and 2^17 overflows the chip's 17-bit field")  # fmt: skip
        neuron = {"type": "CUBA", **{key: np.array(value) for key, value in _NEURONLESS.items()}}
    kind = str(neuron.get("type", "")).strip("\0 ").upper()
    if kind not in _LIF:
        raise read.refuse(
            "NB201", name, f"neuron type '{kind}' is not supported yet", f"supported: {', '.join(_LIF)}"
        )
    if _int(neuron, "refDelay", 0) > 1:
        read.note("NB205", name, f"refDelay is {_int(neuron, 'refDelay', 0)}, it is ignored")
    size = int(np.prod(shape, dtype=np.int64))
    decay_u, decay_v = _int(neuron, "iDecay", 0), _int(neuron, "vDecay", 0)
    threshold = _int(neuron, "vThMant", 0)
    if not (0 <= decay_u <= 4096 and 0 <= decay_v <= 4096 and 0 <= threshold <= 1 << 17):
        raise read.refuse(
            "NB212",
            name,
            f"iDecay {decay_u}, vDecay {decay_v}, vThMant {threshold} lie outside 0 to 4096, 4096, 2^17",
            "write legal fields into the file",
        )
    interval, offset = read.reset
    return Layer(
        name=name,
        shape=shape,
        decay_u=filled(decay_u, size),
        decay_v=filled(decay_v, size),
        threshold=filled(threshold, size),
        bias=bias,
        reset_interval=interval,
        reset_offset=offset + 1 + len(read.layers) if interval else 0,
        weight_bits=bits,
    )


def _check_range(read: _Reading, name: str, w: Ints) -> None:
    low, high = int(w.min(initial=0)), int(w.max(initial=0))
    if (low >= 0 and high > 255) or (low < 0 < high and (low < -256 or high > 254)) or low < -256:
        raise read.refuse(
            "NB212",
            name,
            f"weights lie in [{low}, {high}], which the importer would clip or zero in silence",
            "quantise to [-256, 254], or to [0, 255] where no weight is negative",
        )
    if low == -256 and high <= 0:
        read.note("NB212", name, "weights reach -256, the chip stores -255 at least", error=True)
    elif low < 0 < high and np.any((np.abs(w) > 127) & (w % 2 != 0)):
        read.note("NB212", name, "mixed weights above 127 in magnitude must be even on chip", error=True)


def _required(read: _Reading, name: str, values: Values, key: str) -> Any:
    if not isinstance(values.get(key), np.ndarray):
        raise BadInput(
            f"{read.where}: layer {name}: no array '{key}'", code="NB102", fix="export the network again"
        )
    return values[key]


def _int(values: Values, key: str, default: int) -> int:
    value = values.get(key)
    return default if not isinstance(value, np.ndarray) else int(value.reshape(-1)[0])


def _whole(read: _Reading, name: str, key: str, raw: Any) -> Ints:
    array = np.asarray(raw, dtype=np.float64)
    if not np.all(np.isfinite(array)) or np.any(np.abs(array) >= 2**31):
        raise BadInput(f"{read.where}: layer {name}: '{key}' is not finite 32-bit data", code="NB120")
    return np.trunc(array).astype(np.int64)


def _matrix(read: _Reading, name: str, values: Values, key: str, n_in: int) -> Ints:
    if isinstance(values.get(key), dict):
        raise read.refuse(
            "NB201", name, f"'{key}' is complex, which is not supported yet", "use real weights"
        )
    w = _whole(read, name, key, _required(read, name, values, key))
    if w.ndim != 2 and n_in and w.size % n_in == 0:
        w = w.reshape(-1, n_in)
    if w.ndim != 2 or w.size == 0 or (n_in and w.shape[1] != n_in):
        raise BadInput(
            f"{read.where}: layer {name}: '{key}' has shape {w.shape}, expected (out, {n_in or 'in'})",
            code="NB109",
        )
    return np.ascontiguousarray(w)


def _bias(read: _Reading, name: str, values: Values, n: int) -> Ints:
    if values.get("bias") is None:
        return filled(0, n)
    bias = _whole(read, name, "bias", values["bias"]).reshape(-1)
    if bias.size not in (1, n):
        raise BadInput(f"{read.where}: layer {name}: {bias.size} biases for {n} neurons", code="NB112")
    if np.any(np.abs(bias) > 4096):
        read.note("NB212", name, f"bias {int(bias[np.abs(bias).argmax()])} is beyond 13 bits", error=True)
    return np.ascontiguousarray(np.broadcast_to(bias << NETX_BIAS_EXPONENT, (n,)))


def _delays(read: _Reading, name: str, values: Values, key: str, shape: tuple[int, int]) -> Ints | None:
    if values.get(key) is None:
        return None
    raw = _whole(read, name, key, values[key])
    n_out, n_in = shape
    if raw.ndim == 1 and raw.size == n_out and raw.size > 1:
        if n_in == n_out:
            read.note(
                "NB208", name, f"'{key}' has one entry a neuron of a square layer; read as one a target"
            )
        raw = raw[:, None]
    if raw.ndim > 2 or not _broadcasts(raw.shape, shape):
        raise BadInput(
            f"{read.where}: layer {name}: '{key}' has shape {raw.shape}, expected {shape}", code="NB109"
        )
    if raw.min(initial=0) < 0 or raw.max(initial=0) > MAX_DELAY:
        raise read.refuse(
            "NB208",
            name,
            f"'{key}' lies in [{raw.min()}, {raw.max()}] steps, expected 0 to {MAX_DELAY}",
            "shorten the delays",
        )
    return np.ascontiguousarray(np.broadcast_to(raw, shape))


def _broadcasts(shape: tuple[int, ...], wanted: tuple[int, int]) -> bool:
    try:
        return np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        return False
