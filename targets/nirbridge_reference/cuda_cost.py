"""What a run on the GPU costs: the wall time of its batch and the energy that the GPU counted, measured."""

from __future__ import annotations

from nirbridge.cost import Cost, Total
from nirbridge.recording import Recording
from nirbridge_reference.cost import counted_energy
from nirbridge_reference.power import Energy


def gpu_cost(recording: Recording, device: str, threads: int, energy: Energy | str) -> Cost:
    """Latency of the batch as it was measured on ``device``, transfers included [s]; energy where counted.

    The samples of a batch run together: the latency is the batch's. energy: of the GPU's whole board during
    the run, by its own counter, or why it is unknown; the host's is not in it.
    """
    wall = recording.wall_s or 0.0
    source = f"{recording.n_samples} samples run together on {device}, timed here once, with transfers"
    latency = Total(value=wall, low=wall, high=wall, unit="s", basis="measured", source=source, per="batch")
    total, terms = counted_energy("device", energy, max(recording.n_samples, 1))
    notes = [
        f"{device}, batch of {recording.n_samples}: "
        f"{1e3 * wall / max(recording.n_samples, 1):.3g} ms of wall time per sample"
    ]
    if total is not None:
        notes.append("energy of the GPU's board alone, without the host")
    return Cost(
        target="reference",
        energy=total,
        latency=latency,
        energy_terms=terms,
        latency_terms=(),
        scope="board" if total is not None else "host",
        batch=recording.n_samples,
        ticks=recording.ticks,
        tick_s=recording.dt,
        scenario={"device": device, "backend": "cuda", "threads": threads},
        notes=tuple(notes),
    )
