"""The values of one NetX layer as integers, checked: weights, biases, delays, neurons.

Layout, import rule and the table of defects (F mended, R reproduced, X refused): LOIHI2.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nirbridge.errors import BadInput, Finding, Unsupported
from nirbridge_loihi2.layers import INPUT, MAX_DELAY, MAX_THRESHOLD, Connection, Ints, Kind, Layer, filled
from nirbridge_loihi2.netx_file import Values

NETX_BIAS_EXPONENT = 6
BIAS_RANGE = (-4096, 4095)  # 13 bits, signed
_KINDS: dict[str, Kind] = {
    "CUBA": "lif", "LOIHI": "lif", "SDNN": "sigma-delta", "RF": "rf", "RF_IZ": "rf-iz", "RFIZ": "rf-iz",
}  # fmt: skip
_NEURONLESS = {"iDecay": 0, "vDecay": 4096, "vThMant": 1 << 17}
_GIVE = "write a neuron group with vThMant up to 131071 into the file (65536 for a read-out)"


@dataclass
class Reading:
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

    def note(self, code: str, node: str, message: str, fix: str | None = None) -> None:
        """What the file says and the importer, or we, take otherwise."""
        text = f"layer {node}: {message}"
        self.findings.append(Finding(code=code, level="warning", node=node, message=text, fix=fix))

    def broken(self, node: str, message: str, fix: str) -> None:
        """What the integers of a chip cannot hold (NB212): an error, which `NetProgram` runs all the same."""
        text = f"layer {node}: {message}"
        simulate = f"{fix}; nirbridge_loihi2.NetProgram simulates the file as it is"
        self.findings.append(Finding(code="NB212", level="error", node=node, message=text, fix=simulate))

    def refuse(self, code: str, node: str, message: str, fix: str) -> Unsupported:
        return Unsupported(f"{self.where}: layer {node}: {message}", code=code, fix=fix)

    def bad(self, code: str, node: str, message: str, fix: str | None = None) -> BadInput:
        return BadInput(
            f"{self.where}: layer {node}: {message}", code=code, fix=fix or "export the network again"
        )

    @property
    def source(self) -> int:
        return len(self.layers) - 1 if self.layers else INPUT

    def carries_values(self, source: int) -> bool:
        """Whether messages of a source have a value: sigma-delta layers, and the input where asked for."""
        return self.graded if source == INPUT else self.layers[source].kind in ("delta", "sigma-delta")


def neurons(read: Reading, name: str, values: Values, shape: tuple[int, ...], bias: Ints, bits: int) -> Layer:
    """The population of a layer; ``bias`` are mantissas (n,)."""
    neuron = values.get("neuron")
    if not isinstance(neuron, dict):
        read.note("NB212", name, "no neuron group: iDecay 0, vDecay 4096 and threshold 2^17 are taken, with "
                  "which it never spikes, and 2^17 overflows the chip's 17-bit field", _GIVE)  # fmt: skip
        neuron = {"type": "CUBA", **{key: np.array(value) for key, value in _NEURONLESS.items()}}
    said = str(neuron.get("type", "")).strip("\0 ").upper()
    if said not in _KINDS:
        raise read.refuse(
            "NB201", name, f"neuron type {said!a} is not known", f"supported: {', '.join(_KINDS)}"
        )
    kind = _KINDS[said]
    if integer(read, name, neuron, "refDelay", 0) > 1:
        read.note("NB205", name, f"refDelay is {integer(read, name, neuron, 'refDelay', 0)}, it is ignored",
                  "train without a refractory time (refDelay 1)")  # fmt: skip
    size = int(np.prod(shape, dtype=np.int64))
    if kind == "lif":
        if integer(read, name, neuron, "gradedSpike", 0):
            read.note("NB205", name, "gradedSpike is set, which LIF neurons ignore: their spikes count 1",
                      "write gradedSpike false into the file")  # fmt: skip
        decay_u, decay_v = (integer(read, name, neuron, key, 0) for key in ("iDecay", "vDecay"))
        fields, lowest = f"iDecay {decay_u}, vDecay {decay_v}", 0
    elif kind == "sigma-delta":
        _plain_sigma_delta(read, name, neuron)
        decay_u, decay_v, fields, lowest = 0, 0, "", 0
        kind = "delta" if str(values.get("type", "")).strip("\0 ") == "input" else kind
    else:
        decay_u, decay_v = (integer(read, name, neuron, key) for key in ("sinDecay", "cosDecay"))
        fields, lowest = f"sinDecay {decay_u}, cosDecay {decay_v}", -4096
    threshold = integer(read, name, neuron, "vThMant", 0)
    if not all(lowest <= d <= 4096 for d in (decay_u, decay_v)) or not 0 <= threshold <= 1 << 17:
        raise read.refuse(
            "NB212",
            name,
            f"{fields}{', ' if fields else ''}vThMant {threshold}: expected decays of {lowest} to 4096 and a "
            f"threshold of 0 to 2^17",
            "write legal fields into the file",
        )
    if threshold > MAX_THRESHOLD and isinstance(values.get("neuron"), dict):
        what = "a threshold of 2^17, which it never reaches, overflows the chip's 17-bit field"
        read.note("NB212", name, what, "write vThMant up to 131071 into the file (65536 for a read-out)")
    if kind in ("rf", "rf-iz") and np.any(bias):
        raise read.refuse("NB207", name, "resonate-and-fire neurons take no bias", "remove the bias")
    interval, offset = read.reset
    if interval and kind != "lif":
        raise read.refuse("NB210", name, f"{said} layers have no reset", "use reset_interval 0")
    return Layer(
        name=name,
        shape=shape,
        decay_u=filled(decay_u, size),
        decay_v=filled(decay_v, size),
        threshold=filled(threshold, size),
        bias=bias << (12 if kind == "sigma-delta" else NETX_BIAS_EXPONENT),
        reset_interval=interval,
        reset_offset=offset + 1 + len(read.layers) if interval else 0,
        weight_bits=bits,
        kind=kind,
    )


def _plain_sigma_delta(read: Reading, name: str, neuron: Values) -> None:
    activation = str(neuron.get("activation") or "none").strip("\0 ").lower()
    if activation not in ("none", "relu", ""):
        raise read.refuse("NB201", name, f"activation {activation!a} is not supported", "use ReLU")
    for key in ("messageBits", "sigma_output"):
        if neuron.get(key) is not None and integer(read, name, neuron, key) != 0:
            raise read.refuse(
                "NB201", name, f"'{key}' of a sigma-delta layer is not supported", f"export without {key}"
            )


def check_range(read: Reading, name: str, w: Ints) -> None:
    """Refuse weights that the importer would mangle; note those that the chip cannot hold."""
    low, high = int(w.min(initial=0)), int(w.max(initial=0))
    if (low >= 0 and high > 255) or (low < 0 < high and (low < -256 or high > 254)) or low < -256:
        raise read.refuse(
            "NB212",
            name,
            f"weights lie in [{low}, {high}], which the importer would clip or zero in silence",
            "quantise to [-256, 254], or to [0, 255] where no weight is negative",
        )
    if low == -256 and high <= 0:
        read.broken(name, "weights reach -256, the chip stores -255 at least", "clip them at -255")
    elif low < 0 < high and np.any((np.abs(w) > 127) & (w % 2 != 0)):
        odd = int(np.count_nonzero(w % 2))
        read.broken(
            name,
            f"mixed weights above 127 in magnitude must be even on chip, {odd} of {w.size} in "
            f"[{low}, {high}] are odd",
            "make all weights of the layer even, or quantise them to [-127, 127]",
        )


def required(read: Reading, name: str, values: Values, key: str) -> Any:
    """The array of this name; BadInput NB102 where there is none, NB127 where it holds text."""
    if isinstance(values.get(key), str):
        raise read.bad("NB127", name, f"'{key}' is a string, expected numbers")
    if not isinstance(values.get(key), np.ndarray):
        raise read.bad("NB102", name, f"no array '{key}'")
    return values[key]


def integer(read: Reading, name: str, values: Values, key: str, default: int | None = None) -> int:
    """One whole number; NB127 where it is none."""
    if values.get(key) is None and default is not None:
        return default
    raw = required(read, name, values, key)
    number = float(raw.reshape(-1)[0]) if raw.size == 1 else np.nan
    if not number.is_integer() or abs(number) >= 2**31:
        raise read.bad(
            "NB127", name, f"'{key}' has shape {raw.shape} and type {raw.dtype}, expected one integer"
        )
    return int(number)


def pair(read: Reading, name: str, values: Values, key: str, default: int) -> tuple[int, int]:
    """Height and width, or one number for both."""
    if values.get(key) is None:
        return default, default
    raw = whole(read, name, key, required(read, name, values, key)).reshape(-1)
    if raw.size not in (1, 2):
        raise read.bad("NB109", name, f"'{key}' has {raw.size} entries, expected height and width")
    return int(raw[0]), int(raw[-1])


def whole(read: Reading, name: str, key: str, raw: Any) -> Ints:
    """Numbers truncated to integers, as the importer does."""
    array = np.asarray(raw, dtype=np.float64)
    if not np.all(np.isfinite(array)) or np.any(np.abs(array) >= 2**31):
        raise read.bad("NB120", name, f"'{key}' is not finite 32-bit data")
    return np.trunc(array).astype(np.int64)


def truncated(read: Reading, name: str, values: Values, key: str) -> Ints:
    """Weights or biases cut to integers as the importer does, which is noted where it changes some."""
    raw = required(read, name, values, key)
    w = whole(read, name, key, raw)
    cut = int(np.count_nonzero(np.asarray(raw, dtype=np.float64) != w))
    if cut:
        what = f"{cut} of {w.size} entries of '{key}' are no integers"
        read.note("NB212", name, f"{what} and are truncated toward 0, as the importer does",
                  f"export integers as {key}")  # fmt: skip
    return w


def matrix(read: Reading, name: str, values: Values, key: str, n_in: int) -> Ints:
    """Weights (out, in)."""
    w = truncated(read, name, values, key)
    if w.ndim != 2 and n_in and w.size % n_in == 0:
        w = w.reshape(-1, n_in)
    if w.ndim != 2 or w.size == 0 or (n_in and w.shape[1] != n_in):
        raise read.bad("NB109", name, f"'{key}' has shape {w.shape}, expected (out, {n_in or 'in'})")
    return np.ascontiguousarray(w)


def biases(read: Reading, name: str, values: Values, n: int) -> Ints:
    """Bias mantissas (n,), 0 where the layer has none."""
    if values.get("bias") is None:
        return filled(0, n)
    bias = truncated(read, name, values, "bias").reshape(-1)
    if bias.size not in (1, n):
        raise read.bad("NB112", name, f"{bias.size} biases for {n} neurons or channels")
    wide = (bias < BIAS_RANGE[0]) | (bias > BIAS_RANGE[1])
    if np.any(wide):
        least, most = BIAS_RANGE
        read.broken(
            name,
            f"a bias mantissa of {bias[wide][0]} (and {np.count_nonzero(wide) - 1} more beyond 13 bits), "
            f"expected {least} to {most}",
            "scale weights, threshold and biases of the layer down",
        )
    return np.ascontiguousarray(np.broadcast_to(bias, (n,)))


def delays(read: Reading, name: str, values: Values, key: str, shape: tuple[int, int]) -> Ints | None:
    """Delays in steps, (out, in), or None where the layer has none."""
    if values.get(key) is None:
        return None
    raw = whole(read, name, key, required(read, name, values, key))
    n_out, n_in = shape
    if raw.ndim == 1 and raw.size == n_out and raw.size > 1:
        if n_in == n_out:
            read.note(
                "NB208",
                name,
                f"'{key}' has one entry a neuron of a square layer; read as one a target",
                "write it as a matrix (out, in)",
            )
        raw = raw[:, None]
    if raw.ndim > 2 or not _broadcasts(raw.shape, shape):
        raise read.bad("NB109", name, f"'{key}' has shape {raw.shape}, expected {shape}")
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
