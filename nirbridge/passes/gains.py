"""Keep what a spike adds to I and to V while time constants or their unit change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.network import Population
from nirbridge.network.coefficients import population
from nirbridge.passes.row_scaling import float_like, is_one, refused
from nirbridge.semantics import Semantics

Floats = NDArray[np.float64]


def keep_gains(node: Any, before: Population, semantics: Semantics) -> None:
    """Scale r and w_in of a neuron in place so that b_m and b_s are again those of ``before``.

    node: the neuron with its new time constants, of which the caller owns r and w_in; semantics: those
    that it will be run with. Gains that differ by no more than float32 rounding are left alone. Raises
    `Unsupported` (NB205) where the semantics ignore r or w_in, so that they cannot make up for it.
    """
    now = population(node, before.name, semantics)
    for field, old, new in (("r", before.b_m, now.b_m), ("w_in", before.b_s, now.b_s)):
        if not hasattr(node, field):
            continue
        ratio = np.divide(old, new, out=np.ones_like(old), where=new != 0)
        if not is_one(ratio):
            values = np.broadcast_to(np.asarray(getattr(node, field), np.float64).reshape(-1), (before.size,))
            setattr(node, field, replaced(getattr(node, field), values * ratio, before))
    refuse_other_gains(node, before, semantics)


def refuse_other_gains(node: Any, before: Population, semantics: Semantics, *, ones: bool = False) -> None:
    """Raise `Unsupported` (NB205) unless b_m and b_s are those of ``before``, or 1 where ``ones`` is set."""
    now = population(node, before.name, semantics)
    for old, new in ((before.b_m, now.b_m), (before.b_s, now.b_s)):
        wanted = np.ones_like(old) if ones else old
        if not is_one(np.divide(new, wanted, out=np.ones_like(new), where=wanted != 0)):
            raise refused(
                "NB205",
                before.name,
                f"node '{before.name}': under gain {semantics.gain} and integrate {semantics.integrate} its "
                "semantics ignore r and w_in, which would have to make up for other gains",
                "state semantics that use r and w_in, such as gain matched",
            )


def replaced(old: Any, new: Floats, p: Population) -> NDArray[Any]:
    """``old`` with its finite new values, in its own float type; one value a neuron where it was a scalar."""
    array = np.asarray(old)
    shape = array.shape if array.size == p.size else p.shape
    full = np.broadcast_to(array, shape).astype(np.float64)
    return float_like(array, np.where(np.isfinite(new.reshape(shape)), new.reshape(shape), full))
