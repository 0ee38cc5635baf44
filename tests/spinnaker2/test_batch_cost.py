"""A training batch: its cost against the reference's figures, as a `Cost` with intervals and sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nirbridge.cost import Cost
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.power import Scenario
from nirbridge_spinnaker2.training_cost import training_cost
from nirbridge_spinnaker2.training_layout import TrainingJob
from nirbridge_spinnaker2.training_work import work

SPIKES = (5.0, 25.3, 1.2)
JOB = TrainingJob(
    names=("input", "hidden", "out"),
    layers=(5, 120, 3),
    recurrent=(False, False),
    batch=22,
    ticks_forward=30,
    ticks_backward=30,
    tick_s=1e-3,
)


def cost(job: TrainingJob = JOB, **scenario: Any) -> Cost:
    return training_cost(job, Scenario(**scenario), SPIKES)


def millijoules(found: Cost) -> list[float]:
    assert found.energy is not None
    return [1e3 * x for x in (found.energy.low, found.energy.value, found.energy.high)]


def test_batch_of_22() -> None:
    """61.0 ms, 433.6 [431.5–445.1] mW, 26.45 mJ, 1.202 [1.196–1.234] mJ a sample."""
    found = cost()
    assert millijoules(found) == pytest.approx([1.196, 1.202, 1.234], abs=5e-4)
    assert (found.latency.value, found.latency.low, found.latency.high) == pytest.approx((0.061,) * 3)
    assert found.energy is not None
    assert (found.energy.per, found.latency.per, found.batch, found.ticks) == (
        "training-sample",
        "batch",
        22,
        61,
    )
    text = " ".join(found.notes)
    assert "89 PEs (4 a sample, 1 for the optimiser)" in text
    assert "433.6 mW [431.5–445.1], 26.45 mJ [26.32–27.15]" in text
    assert "unused PEs off 1.018 mJ; unused PEs asleep at 0.8 V 1.581 mJ" in text
    assert "61 ticks of 1 ms are 61 ms" in text and "the tick decides, not compute" in text
    assert found.static_share == pytest.approx(0.988, abs=5e-4)


@pytest.mark.parametrize(
    ("batch", "milliwatts", "per_sample"), [(1, 246.5, 15.04), (10, 326.7, 1.99), (36, 558.2, 0.961)]
)
def test_other_batches(batch: int, milliwatts: float, per_sample: float) -> None:
    found = cost(replace(JOB, batch=batch))
    assert millijoules(found)[1] == pytest.approx(per_sample, rel=3e-3)
    assert f"{milliwatts:.1f} mW" in " ".join(found.notes)
    assert found.latency.value == pytest.approx(0.062 if batch == 36 else 0.061)


def test_a_stretched_update_is_an_overrun() -> None:
    (text,) = cost(replace(JOB, batch=36)).overruns
    assert "303,360 cycles" in text and "overruns into 2 ticks" in text
    assert "batch=35 or spinnaker2:optimiser_pes=2" in text
    assert cost(replace(JOB, batch=35)).overruns == ()
    assert cost(replace(JOB, batch=36, optimiser_pes=2)).latency.value == pytest.approx(0.061)


def test_terms_are_quantity_times_coefficient_and_add_up() -> None:
    found = cost()
    values = coefficients().corner_values()["central"]
    assert found.energy is not None
    known = [t for t in found.energy_terms if t.value is not None]
    assert sum(t.value for t in known if t.value is not None) == pytest.approx(found.energy.value)
    for term in known:
        assert term.quantity is not None and term.coefficient is not None
        assert term.value == pytest.approx(term.quantity * values[term.coefficient])
    assert {t.name for t in found.energy_terms if t.value is None} == {"spike-transport", "memory"}
    (time,) = found.latency_terms
    assert time.value == pytest.approx((time.quantity or 0) * JOB.tick_s)


def test_where_the_update_stretches_in_one_corner_the_latency_is_an_interval() -> None:
    """At batch 35 the update leaves 2,000 cycles of a tick: less than c_tick of the high corner."""
    found = cost(replace(JOB, batch=35))
    assert (found.latency.low, found.latency.value, found.latency.high) == pytest.approx(
        (0.061, 0.061, 0.062)
    )


def test_a_recurrent_layer_adds_its_own_rows() -> None:
    """m = 125 inputs of 120 neurons; its spikes come back forward, as gradient and as error."""
    loop = replace(JOB, recurrent=(True, False))
    values = coefficients().corner_values()["central"]
    assert loop.parameters == 120 * 125 + 360
    plain, more = (work(values, job, Scenario(), SPIKES) for job in (JOB, loop))
    expected = values["c_s"] * 120 * 3 * 25.3 + 2 * values["c_p"] * (120 * 125 - 600) / 4
    extra = (more.ticks - plain.ticks) * values["c_tick"]
    assert more.busy[1] - plain.busy[1] - extra == pytest.approx(expected)


def test_board_power_is_said() -> None:
    found = cost(board_mw=80.0, idle_pes="off")
    assert found.scope == "board" and found.scenario["board_mw"] == 80.0
    assert found.scenario["batch"] == 22 and "after seeing" in found.scenario["choice"]
