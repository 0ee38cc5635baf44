"""Rules about time: NB301 to NB307."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.validate.fields import type_name
from nirbridge.validate.gains import euler_step, exact_step
from nirbridge.validate.parameters import numbers
from nirbridge.validate.report import found, offender
from nirbridge.validate.view import View, view_of

_SUSPICIOUS = 1e-4
_AMBIGUOUS = 0.5


def missing_dt(view: View) -> Iterator[Finding]:
    """NB301: nothing says how long a step is."""
    if view.metadata is None:
        what = "says no dt, and NIR files cannot; running it needs one"
        yield found("NB301", "warning", None, "NIRGraph", what, "state --dt SECONDS")


def exporter_step(graph: nir.NIRGraph) -> float | None:
    """The dt [file's unit] that r and w_in of a graph without metadata were made for, or None."""
    view = view_of(graph)
    if view.metadata is not None:
        return None
    nodes = view.flat.nodes.values()
    return euler_step(nodes) or exact_step(nodes, None)


def asked_step(graph: nir.NIRGraph, dt: float | None, time_unit: float | None) -> Iterator[Finding]:
    """NB305: a stated dt [s] that is not the one which r and w_in were made for.

    graph: before the dt is written into its metadata. time_unit: seconds per unit of its tau.
    """
    step = exporter_step(graph) if dt is not None else None
    own = None if step is None else step * (time_unit or 1.0)
    if dt is not None and own is not None and abs(dt - own) > 1e-3 * own:
        what = f"--dt is {dt:g} s, its r are those of an exporter with dt = {own:g} s"
        fix = f"state --dt {own:g}, or scale r and w_in"
        yield found("NB305", "warning", None, "NIRGraph", what, fix)


def ambiguous_unit(view: View) -> Iterator[Finding]:
    """NB302: every tau is so large that it may count milliseconds or steps."""
    if view.metadata is not None:
        return
    taus = [
        tau
        for node in view.flat.nodes.values()
        for key in ("tau", "tau_mem", "tau_syn")
        if (tau := numbers(getattr(node, key, None))) is not None
    ]
    positive = [float(tau[tau > 0].min()) for tau in taus if (tau > 0).any()]
    if positive and min(positive) >= _AMBIGUOUS:
        what = f"its smallest tau is {min(positive):g}, expected seconds below {_AMBIGUOUS} or a stated unit"
        yield found("NB302", "warning", None, "NIRGraph", what, "state --unit ms, or --unit s")


def steps(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB303: a step that is too long for a time constant; NB304: a tau that looks multiplied by dt."""
    for key in ("tau", "tau_mem", "tau_syn"):
        tau = numbers(getattr(node, key, None))
        if tau is None:
            continue
        if view.semantics is None:
            small = (tau > 0) & (tau < _SUSPICIOUS)
            if view.metadata is None and small.any():
                what = offender(key, tau, small, f"at least {_SUSPICIOUS:g} s; was it multiplied by dt?")
                yield found("NB304", "warning", name, type_name(node), what, "multiply by 1/dt")
            continue
        seconds = tau.astype(np.float64) * view.semantics.time_unit
        dt, decay = view.semantics.dt, view.semantics.decay
        if key == "tau_syn" and view.semantics.decay_syn is not None:
            decay = view.semantics.decay_syn
        too_long = (seconds > 0) & (dt >= seconds)
        if decay == "euler" and too_long.any():
            what = offender(key, seconds, too_long, f"more than dt = {dt:g} s under Euler steps")
            yield found("NB303", "error", name, type_name(node), what, "use a smaller dt, or exact decay")
        elif not _in_steps(view) and ((seconds > 0) & (dt > seconds / 2)).any():
            what = offender(key, seconds, (seconds > 0) & (dt > seconds / 2), f"at least 2·dt = {2 * dt:g} s")
            yield found("NB303", "warning", name, type_name(node), what, "use a smaller dt")


def _in_steps(view: View) -> bool:
    """Whether times are whole steps of a deployed file, which no smaller dt refines."""
    return view.metadata is not None and bool((view.metadata.model_extra or {}).get("in_steps"))


def integrators(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB306: I and IF add their input once a step, whatever dt is."""
    if isinstance(node, nir.I | nir.IF) and (view.semantics is None or view.semantics.integrate == "step"):
        what = "integrates per step, not per second"
        yield found(
            "NB306", "info", name, type_name(node), what, "the semantics field 'integrate' changes it"
        )


def exact_gains(view: View) -> Iterator[Finding]:
    """NB307: r that an exporter with exact decay made, in a graph that is stepped with Euler."""
    if view.semantics is not None and view.semantics.decay == "exact":
        return
    step = exact_step(view.flat.nodes.values(), view.semantics)
    if step is not None:
        what = f"every r is tau·exp(-dt/tau)/dt with dt = {step:g}, made for exact decay; its steps are Euler"
        yield found("NB307", "warning", None, "NIRGraph", what, "--pass to-euler, or state exact decay")
