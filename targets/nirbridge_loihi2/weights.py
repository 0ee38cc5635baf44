"""Weights as the chip stores them: sign modes, dropped bits, and how many bits a matrix needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SignMode = Literal["mixed", "exc", "inh"]
Ints = NDArray[np.int64]


def sign_mode(weight: NDArray[np.integer]) -> SignMode:
    """``exc`` where no weight is negative, ``inh`` where none is positive, else ``mixed``."""
    if weight.min(initial=0) >= 0:
        return "exc"
    return "inh" if weight.max(initial=0) <= 0 else "mixed"


def stored(weight: NDArray[np.integer], *, mode: SignMode | None = None, bits: int = 8) -> Ints:
    """Weights after clipping to the stored range and dropping low bits (LOIHI2.md §1).

    ``X = clip(|W| or W, −256 if mixed else 0, 255)``, then the lowest
    ``8 − bits (+1 if mixed)`` bits are cleared by a floor shift. ``mode`` None derives the sign mode.
    """
    mode = mode or sign_mode(weight)
    x = np.asarray(weight, dtype=np.int64)
    x = np.clip(-x if mode == "inh" else x, -256 if mode == "mixed" else 0, 255)
    shift = 8 - bits + (mode == "mixed")
    x = (x >> shift) << shift
    return -x if mode == "inh" else x


@dataclass(frozen=True, slots=True)
class ImportRule:
    """How NetX's importer would store a matrix: ``weight << −exponent`` in ``bits`` bits."""

    exponent: int
    bits: int


def import_rule(weight: NDArray[np.integer]) -> ImportRule:
    """Exponent and num_weight_bits of a matrix of integers (LOIHI2.md §2); 8 bits where it is all zero."""
    w = np.asarray(weight, dtype=np.int64)
    low, high = int(w.min(initial=0)), int(w.max(initial=0))
    if w.size:
        low, high = int(w.min()), int(w.max())
    if low == 0 and high == 0:
        return ImportRule(0, 8)
    if (high > 254 and low < 0) or (low < -256 and high > 0):
        w = np.clip(w, -256, 254)
        low, high = int(w.min()), int(w.max())
    signed = 0 if high < 0 or low >= 0 else 1
    if signed:
        scale = min(np.inf if high == 0 else 127 / high, -128 / low)
    else:
        scale = -256 / low if high < 0 else 255 / high
    shift = int(np.floor(np.log2(scale))) + signed
    divisible = next(n for n in range(8, -1, -1) if not np.any(w % 2**n))
    return ImportRule(-shift, 8 - shift - (divisible - signed))
