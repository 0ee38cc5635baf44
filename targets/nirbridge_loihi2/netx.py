"""A NetX file as an integer network, by the importer's rules with its known defects mended.

Layout, import rule and the table of defects (F mended, R reproduced, X refused): LOIHI2.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Finding
from nirbridge.io import Limits
from nirbridge_loihi2.convolution import Window
from nirbridge_loihi2.layers import Connection, IntegerNetwork, filled
from nirbridge_loihi2.netx_file import LIMITS, Values, read_layers
from nirbridge_loihi2.netx_values import (
    Reading,
    biases,
    check_range,
    delays,
    integer,
    matrix,
    neurons,
    pair,
    required,
    truncated,
    whole,
)
from nirbridge_loihi2.weights import import_rule


@dataclass(frozen=True, slots=True, eq=False)
class Netx:
    """What a file holds: the network, and what a user should know about it."""

    network: IntegerNetwork
    findings: tuple[Finding, ...]


def read_net(
    path: Path | str,
    *,
    reset_interval: int = 0,
    reset_offset: int = 0,
    message_bits: int = 0,
    input_bias: NDArray[np.integer] | None = None,
    limits: Limits = LIMITS,
) -> Netx:
    """Read ``.net``: layers of type input, dense, dense_rec, conv and flatten.

    reset_interval, reset_offset, message_bits: as the importer's arguments; built layer k is reset
    at ``t mod interval = (offset + 1 + k) mod interval``, input values count where message_bits > 0.
    input_bias: bias mantissas of an input layer that has neurons, in its shape.

    Raises `BadInput` for a broken file and `Unsupported` for what NetX does not deploy (NB201) or
    its importer would change in silence (NB212, NB208).
    """
    path = Path(path)
    read = Reading(str(path), [], [], [], reset=(int(reset_interval), int(reset_offset)))
    read.graded = message_bits > 0
    read.input_bias = None if input_bias is None else np.asarray(input_bias, dtype=np.int64).reshape(-1)
    for at, values in enumerate(read_layers(path, limits)):
        _layer(read, str(at), values)
    if not read.layers:
        raise BadInput(f"{path}: no layer with neurons", code="NB013", fix="give a trained network")
    network = IntegerNetwork(
        n_inputs=read.n_inputs, layers=tuple(read.layers), connections=tuple(read.connections)
    )
    return Netx(network, tuple(read.findings))


def _layer(read: Reading, name: str, values: Values) -> None:
    kind = str(values.get("type", "")).strip("\0 ")
    if kind == "input":
        _input(read, name, values)
    elif kind == "flatten":
        read.shape = (int(np.prod(read.shape, dtype=np.int64)),)
    elif kind in ("dense", "dense_rec"):
        _dense(read, name, values, recurrent=kind == "dense_rec")
    elif kind == "conv":
        _conv(read, name, values)
    else:
        raise read.refuse(
            "NB201",
            name,
            f"type '{kind}' is not supported",
            "supported: input, dense, dense_rec, conv, flatten",
        )


def _input(read: Reading, name: str, values: Values) -> None:
    shape = tuple(
        int(n) for n in whole(read, name, "shape", required(read, name, values, "shape")).reshape(-1)
    )
    size = int(np.prod(shape, dtype=np.int64))
    if not 0 < size <= 1 << 24 or min(shape, default=0) < 1:
        raise read.bad("NB117", name, f"shape {shape} is no input")
    read.shape = shape
    if not isinstance(values.get("neuron"), dict):
        read.n_inputs = size
        return
    mantissa = filled(0, size) if read.input_bias is None else read.input_bias
    if mantissa.size != size:
        raise read.bad("NB112", name, f"{mantissa.size} input biases for {size} neurons", "give one a neuron")
    layer = neurons(read, name, values, shape, mantissa, 8)
    if layer.kind in ("rf", "rf-iz"):
        raise read.refuse("NB201", name, "an input layer of resonate-and-fire neurons", "use CUBA or SDNN")
    if layer.kind == "delta":
        read.n_inputs = size
    read.layers.append(layer)


def _dense(read: Reading, name: str, values: Values, *, recurrent: bool) -> None:
    n_in = int(np.prod(read.shape, dtype=np.int64)) if read.shape else 0
    imaginary = None
    if isinstance(values.get("weight"), dict):
        weight = matrix(read, name, values["weight"], "real", n_in)
        imaginary = matrix(read, name, values["weight"], "imag", weight.shape[1])
        if imaginary.shape != weight.shape:
            raise read.bad("NB109", name, f"real {weight.shape} and imaginary {imaginary.shape} weights")
    else:
        weight = matrix(read, name, values, "weight", n_in)
    n_out, n_in = weight.shape
    if not read.layers and not read.n_inputs:
        read.n_inputs = n_in
    loop = matrix(read, name, values, "weight_rec", n_out) if recurrent else None
    if loop is not None and loop.shape != (n_out, n_out):
        raise read.bad("NB109", name, f"weight_rec has shape {loop.shape}, expected {(n_out, n_out)}")
    joint = weight if loop is None else np.concatenate([weight, loop], axis=1)
    parts = [joint] if imaginary is None else [joint, imaginary]
    for part in parts:
        check_range(read, name, part)
    bits = max(import_rule(part).bits for part in parts)
    delay = delays(read, name, values, "delay", weight.shape)
    delay_rec = delays(read, name, values, "delay_rec", (n_out, n_out)) if recurrent else None
    layer = neurons(read, name, values, (n_out,), biases(read, name, values, n_out), bits)
    if (layer.ports == 2) != (imaginary is not None) or (
        layer.ports == 2 and (recurrent or delay is not None)
    ):
        raise read.refuse(
            "NB201",
            name,
            "resonate-and-fire neurons need complex weights, and only they, without recurrence and delays",
            "export the layer as dense with weight/real and weight/imag",
        )
    if imaginary is not None:
        weight = np.concatenate([weight, imaginary])
    source, at = read.source, len(read.layers)
    read.layers.append(layer)
    read.connections.append(
        Connection(
            name=f"{name}.weight",
            source=source,
            target=at,
            weight=weight,
            delay=delay,
            graded=read.carries_values(source),
        )
    )
    if loop is not None:
        read.connections.append(
            Connection(name=f"{name}.weight_rec", source=at, target=at, weight=loop, delay=delay_rec,
                       graded=read.carries_values(at))
        )  # fmt: skip
    read.shape = (n_out,)


def _conv(read: Reading, name: str, values: Values) -> None:
    weight = truncated(read, name, values, "weight")
    shape = read.shape
    if not shape and values.get("inChannels") is not None:
        raise read.bad("NB117", name, "a convolution needs an input layer that gives (C, H, W)")
    if len(shape) != 3:
        raise read.bad("NB109", name, f"a convolution over shape {shape}, expected (C, H, W)")
    if values.get("delay") is not None:
        raise read.refuse("NB208", name, "delays of a convolution are not deployed", "remove 'delay'")
    try:
        window = Window.over(
            (shape[0], shape[1], shape[2]),
            weight,
            stride=pair(read, name, values, "stride", 1),
            padding=pair(read, name, values, "padding", 0),
            dilation=pair(read, name, values, "dilation", 1),
            groups=integer(read, name, values, "groups", 1),
        )
    except ValueError as error:
        raise read.bad("NB114", name, str(error)) from error
    check_range(read, name, weight)
    out, *area = window.target
    bias = np.repeat(biases(read, name, values, out), int(np.prod(area)))
    layer = neurons(read, name, values, window.target, bias, import_rule(weight).bits)
    if layer.ports == 2:
        raise read.refuse("NB201", name, "a convolution into resonate-and-fire neurons", "use dense")
    source = read.source
    read.layers.append(layer)
    read.connections.append(
        Connection(
            name=f"{name}.weight",
            source=source,
            target=len(read.layers) - 1,
            weight=weight,
            graded=read.carries_values(source),
            window=window,
        )
    )
    read.shape = window.target
