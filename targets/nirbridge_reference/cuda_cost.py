"""What a run on the GPU costs: the wall time of its batch, measured; no energy yet."""

from __future__ import annotations

from nirbridge.cost import Cost, Term, Total
from nirbridge.recording import Recording


def gpu_cost(recording: Recording, device: str, threads: int) -> Cost:
    """Latency of the batch as it was measured on ``device``, transfers included [s].

    The samples of a batch run together: the figure is the batch's. The energy is unknown: no power
    counter is read.
    """
    wall = recording.wall_s or 0.0
    source = f"{recording.n_samples} samples run together on {device}, timed here once, with transfers"
    latency = Total(value=wall, low=wall, high=wall, unit="s", basis="measured", source=source, per="batch")
    term = Term(
        name="device",
        kind="dynamic",
        quantity=None,
        quantity_unit="J",
        coefficient=None,
        value=None,
        low=None,
        high=None,
        unit="J",
        basis="measured",
        source="unknown: no power counter was read",
    )
    return Cost(
        target="reference",
        energy=None,
        latency=latency,
        energy_terms=(term,),
        latency_terms=(),
        scope="host",
        batch=recording.n_samples,
        ticks=recording.ticks,
        tick_s=recording.dt,
        scenario={"device": device, "backend": "cuda", "threads": threads},
        notes=(
            f"{device}, batch of {recording.n_samples}: "
            f"{1e3 * wall / max(recording.n_samples, 1):.3g} ms of wall time per sample",
        ),
    )
