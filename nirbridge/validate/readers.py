"""What the readers of other frameworks make of a file, as data (SEMANTICS.md §4, NIR_TOOLKIT.md §2).

Each row says what one reader, in the release that was compared with it, cannot take or changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nirbridge.validate.fields import FIELDS

Reset = Literal["value", "subtract"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One framework's reader.

    refuses: node types that it does not have (Delay: NB208, pools: NB209, others: NB201).
    leak, v_reset: whether it takes values other than 0. resets: the kinds of reset that it can be
    told; by ``value`` is to v_reset, or to 0 where v_reset is False. exact: decay by e^(−dt/tau).
    r_is_one: node types whose r it reads as 1. unit_gain: it adds each input unscaled, so r and w_in
    of neurons with a time constant have no effect.
    mixed: parameters that must be equal within a node. groups: whether a Conv may have them.
    loop_bias: whether it keeps the bias of a weight in a loop. bias: where other biases go.
    """

    release: str
    refuses: frozenset[str] = frozenset()
    leak: bool = True
    v_reset: bool = True
    resets: tuple[Reset, ...] = ("value",)
    exact: bool = False
    r_is_one: frozenset[str] = frozenset()
    unit_gain: bool = False
    mixed: frozenset[str] = frozenset()
    groups: bool = True
    loops: bool = True
    loop_bias: bool = True
    bias: Literal["synapse", "membrane"] = "synapse"
    conv_bias: bool = True
    batch_flatten: bool = False
    last_node: bool = False
    one_branch: bool = False
    weights_between_neurons: bool = False


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


_ALL = frozenset(FIELDS) - {"Input", "Output", "NIRGraph"}
_PARAMETERS = _types("tau tau_mem tau_syn r w_in v_leak v_threshold v_reset")

READERS: Mapping[str, Reader] = {
    "ode": Reader(release="", refuses=_ALL - _types("LIF Linear Affine"), exact=True),
    "genn": Reader(
        release="mlGeNN 2.3.1",
        leak=False,
        resets=("value", "subtract"),
        exact=True,
    ),
    "snntorch": Reader(
        release="snnTorch 1.0.0",
        refuses=_types("I LI CubaLI Delay"),
        leak=False,
        v_reset=False,
        resets=("value", "subtract"),
        mixed=_types("v_threshold"),
        groups=False,
        loops=False,
        batch_flatten=True,
        one_branch=True,
    ),
    "norse": Reader(
        release="norse 1.1.0",
        refuses=_types("Conv1d AvgPool2d Delay"),
        v_reset=False,
        resets=("value", "subtract"),
        r_is_one=_types("LIF IF"),
        groups=False,
        batch_flatten=True,
        last_node=True,
    ),
    "spyx": Reader(
        release="spyx 1.0.0",
        refuses=_types("Conv1d AvgPool2d Delay"),
        leak=False,
        v_reset=False,
        resets=("subtract",),
        r_is_one=_types("I IF"),
        unit_gain=True,
        loop_bias=False,
    ),
    "rockpool": Reader(
        release="rockpool 3.1.0",
        refuses=_types("IF Conv1d Conv2d SumPool2d AvgPool2d Delay"),
        leak=False,
        v_reset=False,
        resets=("subtract",),
        exact=True,
        r_is_one=_types("I"),
        unit_gain=True,
        loop_bias=False,
    ),
    "sinabs": Reader(
        release="sinabs 3.1.3",
        refuses=_types("CubaLI CubaLIF"),
        leak=False,
        v_reset=False,
        resets=("subtract",),
        exact=True,
        r_is_one=_types("I IF"),
        unit_gain=True,
        groups=False,
        loops=False,
    ),
    "spinnaker2": Reader(
        release="",
        refuses=_types("Delay"),
        v_reset=False,
        resets=("value", "subtract"),
        exact=True,
        bias="membrane",
        weights_between_neurons=True,
    ),
    "nengo": Reader(
        release="nengo 4.1.0",
        leak=False,
        v_reset=False,
        exact=True,
        mixed=_PARAMETERS,
    ),
    "lava-dl": Reader(
        release="main of 2026-05",
        refuses=_ALL - _types("CubaLI CubaLIF Linear Affine Conv1d Conv2d Flatten"),
        leak=False,
        v_reset=False,
        unit_gain=True,
        mixed=_PARAMETERS,
        loop_bias=False,
    ),
    "loihi": Reader(release="lava 0.10", v_reset=False, bias="membrane", conv_bias=False),
}
"""Readers by the name of their profile."""
