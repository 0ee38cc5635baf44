"""What a batch of on-chip training costs: time per batch, energy per training sample (§5, §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nirbridge.cost import Cost, Interval, over_corners, total_of
from nirbridge_spinnaker2.cost_terms import alternatives, scenario_dict, term_rows, tick_notes, time_term
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.power import Scenario, clock
from nirbridge_spinnaker2.published import published_notes, published_residuals
from nirbridge_spinnaker2.training_layout import TrainingJob
from nirbridge_spinnaker2.training_limits import training_findings
from nirbridge_spinnaker2.training_work import Work, work

CLAIM = (
    "follows the equations of the public EventProp simulator; not bit-accurate to silicon; cycle costs are "
    "assumed"
)


def training_cost(job: TrainingJob, scenario: Scenario, spikes: Sequence[float]) -> Cost:
    """Latency of a batch of ``job.batch`` samples and energy of one of them.

    spikes: mean per sample of the input and of every layer. time = (T_f + T_b + T_u)·tick_s; T_u may
    differ between cost corners, so the latency can be an interval.
    """
    corners = coefficients().corner_values()
    works = {name: work(values, job, scenario, spikes) for name, values in corners.items()}
    central, done = corners["central"], works["central"]
    names = {tuple(values.items()): name for name, values in corners.items()}

    def terms(values: Mapping[str, float]) -> dict[str, float]:
        return works[names[tuple(values.items())]].joules(values, scenario)

    batch_each, batch = over_corners(coefficients(), terms)
    share = 1.0 / job.batch
    each = {name: value.scaled(share) for name, value in batch_each.items()}
    energy = batch.scaled(share)
    available = clock(central, scenario) * done.seconds
    cycles = sum(min(b, available) for b in done.busy) * share
    rows = term_rows(each, scenario, done.seconds * share, len(done.busy), cycles)
    seconds = [item.seconds for item in works.values()]
    span = Interval(done.seconds, min(seconds), max(seconds))
    latency = time_term(done.ticks, span)
    duty = [b / available for b in done.busy]
    power = _power(works, corners, scenario)
    longest = max(done.busy) / clock(central, scenario)
    findings = training_findings(job, scenario)
    return Cost(
        target="spinnaker2",
        energy=total_of(energy, rows, "J", per="training-sample"),
        latency=total_of(span, [latency], "s", per="batch"),
        energy_terms=tuple(rows),
        latency_terms=(latency,),
        scope="board" if scenario.board_mw > 0 else "chip",
        batch=job.batch,
        ticks=done.ticks,
        tick_s=job.tick_s,
        scenario={**scenario_dict(scenario, job.tick_s), "phase": "training", "batch": job.batch},
        residuals=published_residuals(),
        notes=(
            CLAIM,
            _batch_note(job, done, batch, power),
            *tick_notes(batch, batch_each, duty, done.ticks, job.tick_s, longest),
            alternatives(central, done.busy, scenario, done.seconds, job.batch),
            *published_notes(),
        ),
        overruns=tuple(f"{f.message}; enough would be {f.fix}" for f in findings if f.code == "NB604"),
    )


def _power(
    works: Mapping[str, Work], corners: Mapping[str, Mapping[str, float]], scenario: Scenario
) -> Interval:
    """Mean power over the batch [W], each corner with its own time."""
    watts = {
        name: sum(works[name].joules(values, scenario).values()) / works[name].seconds
        for name, values in corners.items()
    }
    return Interval(watts["central"], min(watts.values()), max(watts.values()))


def _batch_note(job: TrainingJob, done: Work, energy: Interval, power: Interval) -> str:
    return (
        f"a batch of {job.batch}: {job.pes} PEs ({job.per_sample} a sample, {job.optimisers} for the "
        f"optimiser), {done.ticks} ticks ({job.ticks_forward} forward, {job.ticks_backward} backward, "
        f"{done.update_ticks} update), {1e3 * power.value:.1f} mW "
        f"[{1e3 * power.low:.1f}–{1e3 * power.high:.1f}], {1e3 * energy.value:.2f} mJ "
        f"[{1e3 * energy.low:.2f}–{1e3 * energy.high:.2f}]"
    )
