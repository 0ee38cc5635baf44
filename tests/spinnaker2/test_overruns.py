"""Missed ticks: named with PE, tick and excess, and gone with the value that the message states."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from nirbridge_spinnaker2 import Spinnaker2


def run(recurrent: Any, noise: Any, **options: Any) -> Any:
    program = Spinnaker2(**options).compile(recurrent())
    recording = program.run(noise())
    return program.cost(recording), recording, program


def test_pe_tick_and_excess(recurrent: Any, noise: Any) -> None:
    cost, recording, program = run(recurrent, noise, tick_s=2e-5)
    h = recording.counts["h"]
    assert h["spinnaker2_overruns"].sum() > 0
    (text,) = [t for t in cost.overruns if t.startswith("node 'h'")]
    worst = int(np.argmax(h["spinnaker2_peak_cycles"]))
    excess = h["spinnaker2_peak_cycles"][worst] - 300e6 * program.target.tick_s
    tick = h["spinnaker2_peak_tick"][worst]
    assert f"worst PE 1 at tick {tick} of sample {worst} by {excess:,.0f} cycles over 6,000" in text
    assert f"misses its tick {h['spinnaker2_overruns'].sum():,} times" in text


def test_the_worst_tick_is_where_the_synops_arrive(recurrent: Any, noise: Any) -> None:
    _, recording, program = run(recurrent, noise, tick_s=2e-5)
    again = program.run(noise(), record=["h"])
    sent = again.spikes["h"].to_dense(1e-3).sum(axis=2)
    arrived = np.zeros(sent.shape)
    arrived[:, 1:] += sent[:, :-1]
    counts = noise().to_dense(1e-3).sum(axis=2)
    arrived[:, 1 : 1 + counts.shape[1]] += counts
    np.testing.assert_array_equal(40 * arrived.max(axis=1), recording.counts["h"]["spinnaker2_peak_synops"])
    np.testing.assert_array_equal(arrived.argmax(axis=1), recording.counts["h"]["spinnaker2_peak_tick"])


@pytest.mark.parametrize("knob", ["max_atoms", "tick_s"])
def test_the_stated_knob_is_enough(recurrent: Any, noise: Any, knob: str) -> None:
    cost, _, _ = run(recurrent, noise, tick_s=2e-5)
    (text,) = [t for t in cost.overruns if t.startswith("node 'h'")]
    value = float(re.search(rf"{knob}=([\d.e-]+)", text).group(1))  # type: ignore[union-attr]
    options: dict[str, Any] = {"tick_s": 2e-5} | {knob: int(value) if knob == "max_atoms" else value}
    _, cured, _ = run(recurrent, noise, **options)
    assert cured.counts["h"]["spinnaker2_overruns"].sum() == 0
    if knob == "max_atoms":
        _, more, _ = run(recurrent, noise, tick_s=2e-5, max_atoms=int(value) + 3)
        assert more.counts["h"]["spinnaker2_overruns"].sum() > 0


def test_the_rail_is_a_knob_where_it_helps(recurrent: Any, noise: Any) -> None:
    cost, _, _ = run(recurrent, noise, tick_s=7e-5, used_rail="0.5V")
    assert any("used_rail=0.8V" in t for t in cost.overruns)
    _, fast, _ = run(recurrent, noise, tick_s=7e-5, used_rail="0.8V")
    assert fast.counts["h"]["spinnaker2_overruns"].sum() == 0


def test_duty_is_clamped_and_said(recurrent: Any, noise: Any) -> None:
    cost, _, _ = run(recurrent, noise, tick_s=5e-6)
    assert any("duty is clamped to 1 on 2 PEs" in t for t in cost.overruns)
    assert any(note.startswith("compute exceeds the ticks") for note in cost.notes)


def test_in_time_nothing_is_said(recurrent: Any, noise: Any) -> None:
    cost, _, _ = run(recurrent, noise)
    assert cost.overruns == ()
    assert any(note.startswith("the tick decides, not compute: 62 ticks") for note in cost.notes)
