"""How NIR's differential equations become time steps (SEMANTICS: the fields, the profiles, the gains)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import GraphMetadata, newer_schema, read_metadata, write_metadata

Decay = Literal["euler", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """One reading of a graph in discrete time.

    dt: seconds per step, never guessed. time_unit: seconds per unit of tau and delay.
    decay: factor per step, ``1 − dt/T`` (euler) or ``e^(−dt/T)`` (exact); decay_syn for the
    synapse, None as ``decay``. gain: see `gains`. order: of current and voltage update.
    compare: the spike test. reset: to v_reset, or by subtraction of the threshold.
    feedforward_delay: steps on arcs into neurons that close no loop. The remaining fields are those
    of a profile's own rules; the defaults are the profile ``canonical``.
    """

    dt: float
    time_unit: float = 1.0
    decay: Decay = "euler"
    decay_syn: Decay | None = None
    gain: Literal["matched", "euler", "unit", "dirac"] = "matched"
    syn_input: Literal["after", "before"] = "after"
    order: Literal["current-first", "voltage-first", "exact"] = "current-first"
    integrate: Literal["step", "time"] = "step"
    compare: Literal[">", ">="] = ">"
    reset: Literal["value", "subtract"] = "value"
    reset_at: Literal["same-step", "next-step"] = "same-step"
    emit: Literal["after-update", "before-update"] = "after-update"
    multi_spike: bool = False
    floor: Literal["zero", "minus-threshold"] | None = None
    feedforward_delay: Literal[0, 1] = 0
    delayed: Literal["state", "value"] = "state"
    bias_path: Literal["synapse", "membrane"] = "synapse"
    v_init: Literal["zero", "leak"] = "zero"
    weights: Literal["as-is", "int8"] = "as-is"
    arithmetic: Literal["float64", "float32", "slayer", "loihi"] = "float32"
    profile: str = "canonical"
    weight_scale: float = 1.0
    decay_scale: int = 4096
    rounding: Literal["nearest", "trunc"] = "nearest"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise UsageError(
                f"dt must be a positive number of seconds, got {self.dt}",
                code="NB701",
                fix="state --dt SECONDS",
            )
        if not (np.isfinite(self.time_unit) and self.time_unit > 0):
            raise UsageError(
                f"time_unit must be a positive number of seconds, got {self.time_unit}",
                code="NB701",
                fix="state --unit s or --unit ms",
            )
        for item in fields(self):
            choices = _CHOICES.get(item.name)
            if choices is not None and getattr(self, item.name) not in choices:
                raise UsageError(
                    f"semantics field '{item.name}' is {getattr(self, item.name)!r}, "
                    f"expected one of {', '.join(map(repr, choices))}",
                    code="NB701",
                )
        if self.profile not in PROFILES:
            raise UsageError(
                f"unknown semantics profile '{self.profile}'",
                code="NB701",
                fix=f"use one of {', '.join(PROFILES)}",
            )
        if type(self.multi_spike) is not bool:
            raise ValueError(f"multi_spike is {self.multi_spike!r}, expected true or false")
        for name in ("weight_scale", "decay_scale"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
                raise ValueError(f"{name} is {value!r}, expected a positive number")
        ignored = [f for f in _IGNORED.get(self.profile, ()) if getattr(self, f) != _DEFAULTS[f]]
        if ignored:
            raise ValueError(f"the profile {self.profile} has its own rule in place of '{ignored[0]}'")
        if self.reset_at == "next-step" and self.profile != "snntorch":
            raise ValueError("reset_at='next-step' exists only in the profile snntorch")
        if self.emit == "before-update" and self.profile != "spyx":
            raise ValueError("emit='before-update' exists only in the profile spyx")

    @staticmethod
    def of_profile(profile: str, *, dt: float, **options: Any) -> Semantics:
        """The named profile with dt [s] and further fields that override it."""
        if profile not in PROFILES:
            raise UsageError(
                f"unknown semantics profile '{profile}'",
                code="NB701",
                fix=f"use one of {', '.join(PROFILES)}",
            )
        known = {f.name for f in fields(Semantics)}
        unknown = set(options) - known
        if unknown:
            raise UsageError(
                f"unknown semantics field '{min(unknown)}'",
                code="NB701",
                fix=f"use one of {', '.join(sorted(known))}",
            )
        return Semantics(**{**PROFILES[profile], **options, "dt": dt, "profile": profile})

    def decay_factor(self, tau: NDArray[Any], *, synapse: bool = False) -> NDArray[np.float64]:
        """Factor per step for time constants in the file's unit: euler ``1 − dt/T``, exact ``e^(−dt/T)``."""
        kind = self.decay_syn or self.decay if synapse else self.decay
        ratio = self.dt / (np.asarray(tau, dtype=np.float64) * self.time_unit)
        return 1.0 - ratio if kind == "euler" else np.exp(-ratio)

    def input_gain(self, tau: NDArray[Any], *, synapse: bool, cuba: bool) -> NDArray[np.float64]:
        """g_m or g_s of SEMANTICS §3: how much one unit of input adds in one step."""
        tau = np.asarray(tau, dtype=np.float64)
        factor = self.decay_factor(tau, synapse=synapse)
        if self.gain == "matched":
            return 1.0 - factor
        if self.gain == "euler":
            return self.dt / (tau * self.time_unit)
        if self.gain == "unit":
            return np.ones_like(tau)
        return 1.0 - factor if cuba and not synapse else 1.0 / tau

    def overrides(self) -> dict[str, Any]:
        """The fields that differ from the profile, dt, time_unit and profile aside."""
        base = _DEFAULTS | PROFILES[self.profile]
        aside = {"dt", "time_unit", "profile"}
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in aside and getattr(self, f.name) != base[f.name]
        }


def _choices() -> dict[str, tuple[Any, ...]]:
    from typing import get_args, get_origin, get_type_hints

    result: dict[str, tuple[Any, ...]] = {}
    for name, hint in get_type_hints(Semantics).items():
        parts = get_args(hint) if get_origin(hint) is not Literal else (hint,)
        literals = [value for part in parts if get_origin(part) is Literal for value in get_args(part)]
        if literals:
            result[name] = (*literals, *([None] if type(None) in parts else []))
    return result


_CHOICES = _choices()
_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Semantics)}
_OWN_LINES = ("decay", "decay_syn", "gain", "order", "reset")
_IGNORED: dict[str, tuple[str, ...]] = {"loihi": _OWN_LINES, "lava-dl": _OWN_LINES, "ode": _OWN_LINES}

# What the fields say of each reader (SEMANTICS §4); its own update lines are where networks are run.
PROFILES: dict[str, dict[str, Any]] = {
    "canonical": {},
    "ode": {},
    "genn": {"decay": "exact", "compare": ">=", "feedforward_delay": 1},
    "snntorch": {},
    "norse": {"delayed": "value", "v_init": "leak"},
    "spyx": {"gain": "unit", "emit": "before-update", "reset": "subtract"},
    "rockpool": {
        "decay": "exact",
        "gain": "unit",
        "syn_input": "before",
        "compare": ">=",
        "multi_spike": True,
        "reset": "subtract",
    },
    "sinabs": {
        "decay": "exact",
        "gain": "unit",
        "compare": ">=",
        "multi_spike": True,
        "reset": "subtract",
    },
    "spinnaker2": {
        "decay": "exact",
        "reset": "subtract",
        "feedforward_delay": 1,
        "weights": "int8",
        "bias_path": "membrane",
        "rounding": "trunc",
    },
    "nengo": {"decay": "exact", "decay_syn": "euler", "delayed": "value", "floor": "zero"},
    "lava-dl": {"arithmetic": "slayer"},
    "loihi": {"feedforward_delay": 1, "arithmetic": "loihi"},
}


def semantics_of(graph: nir.NIRGraph) -> Semantics:
    """The semantics that the graph carries in its metadata.

    Raises `BadInput`: NB301 where the graph says no dt (it is never guessed), NB401 where its
    metadata name an unknown profile or field, or a value that the field does not take.
    """
    metadata = read_metadata(graph)
    if metadata is None:
        newer = newer_schema(graph) is not None
        raise BadInput(
            "the graph's metadata have a newer schema, so its dt is not known here: running it needs one"
            if newer
            else "the graph says no dt, and NIR files cannot: running it needs one",
            code="NB301",
            fix="state --dt SECONDS (and --unit ms if the file's tau are in milliseconds)",
        )
    try:
        return Semantics.of_profile(
            metadata.profile, dt=metadata.dt, time_unit=metadata.time_unit, **metadata.semantics
        )
    except (UsageError, ValueError, TypeError) as error:
        said = error.message if isinstance(error, UsageError) else str(error)
        raise BadInput(
            f"the semantics in the graph's metadata cannot be used: {said}",
            code="NB401",
            fix=getattr(error, "fix", None) or "correct the key 'semantics' of the metadata",
        ) from error


def with_semantics(graph: nir.NIRGraph, semantics: Semantics) -> nir.NIRGraph:
    """A copy of the graph that carries these semantics; the rest of its metadata stays."""
    old = read_metadata(graph)
    values = {} if old is None else old.model_dump(by_alias=True)
    values |= {
        "dt": semantics.dt,
        "time_unit": semantics.time_unit,
        "profile": semantics.profile,
        "semantics": semantics.overrides(),
    }
    return write_metadata(graph, GraphMetadata.model_validate(values))


def with_dt(graph: nir.NIRGraph, dt: float | None, time_unit: float | None) -> nir.NIRGraph:
    """The graph with a dt [s] and time unit [s] that the caller stated; None keeps what it has.

    A graph whose times are in steps (metadata key ``in_steps``, as a NetX file gives) takes any dt: its
    time unit becomes that dt. Raises `UsageError` (NB701) for a dt or unit that is no positive number
    and `BadInput` (NB305) where either contradicts the metadata.
    """
    for name, value in (("--dt", dt), ("--unit", time_unit)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise UsageError(f"{name} is {value:g}, expected a positive number of seconds", code="NB701")
    old = read_metadata(graph)
    if dt is None and time_unit is None:
        return graph
    if old is None:
        if dt is None:
            semantics_of(graph)  # raises NB301
        return with_semantics(graph, Semantics(dt=dt or 0.0, time_unit=time_unit or 1.0))
    if (old.model_extra or {}).get("in_steps") and dt is not None:
        return with_semantics(graph, replace(semantics_of(graph), dt=dt, time_unit=dt))
    for name, stated, own in (("--dt", dt, old.dt), ("--unit", time_unit, old.time_unit)):
        if stated is not None and abs(stated - own) > 1e-9 * own:
            raise BadInput(
                f"{name} {stated:g} s contradicts the graph's own {own:g} s",
                code="NB305",
                fix=f"leave {name} out, or rewrite the graph for the other step",
            )
    return graph
