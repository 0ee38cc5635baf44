"""The four views of a run."""

from __future__ import annotations

import numpy as np

from nirbridge import conformance
from nirbridge.evaluate import run
from nirbridge.passes import Pipeline
from nirbridge.plugins import parse
from nirbridge.report.profile import views


def test_every_view_has_its_rows_and_shares_add_up():
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=4)
    target = parse("targets", "loihi2")
    lowered = Pipeline(tuple(target.passes(graph)))(graph)
    result = run(lowered, target, data)
    counts = {
        node: {key: float(values.mean()) for key, values in keys.items()}
        for node, keys in result.recording.counts.items()
    }
    found = views(result.cost.as_dict(), counts, result.program.placement.as_dict())
    time, energy, activity, by_core, memory, published = found
    assert [title for title, _, _ in found] == [
        "execution time per sample",
        "energy per sample",
        "activity per sample",
        "synaptic ops a core per sample, as its counter shows them",
        "memory per core",
        "the model on published rows",
    ]
    for _, columns, rows in found:
        assert rows
        assert all(len(row) == len(columns) for row in rows)
    for _, _, rows in (time, energy):
        shares = [int(row[2].removesuffix(" %")) for row in rows[:-1] if row[2] != "–"]
        assert abs(sum(shares) - 100) <= len(shares)
    assert {row[0] for row in memory[2]} == {"hidden1", "out"}
    spikes = {row[0]: row[1] for row in activity[2]}
    assert float(spikes["hidden1"].replace(",", "")) == round(counts["hidden1"]["spikes"])
    said = {(row[0], row[1]): row[5:] for row in published[2]}
    assert said["512-b1", "latency"] == ("+1.3 %", "consistency")
    assert {said[f"pilotnet-phase-{k}", "latency"][1] for k in range(4)} == {"consistency"}
    assert said["pilotnet-phase-2", "latency"][0] == "+29.0 %"
    total = {row[0]: float(row[2].replace(",", "")) for row in activity[2]}
    for node, cores, least, mean, most, busiest in by_core[2]:
        least, mean, most = (float(text.replace(",", "")) for text in (least, mean, most))
        assert least <= mean <= most
        assert abs(mean * int(cores) - total[node]) <= int(cores)
        assert abs(counts[node][f"loihi2_core_synops_{busiest}"] - most) <= 0.5


def test_the_table_by_core_says_which_is_least_and_busiest():
    counts = {"a": {f"loihi2_core_synops_{k}": float(n) for k, n in ((2, 30), (10, 90), (11, 0))}, "b": {}}
    cost = {"latency": None, "energy": None, "latency_terms": [], "energy_terms": [], "residuals": []}
    cost["latency"] = {"per": "sample", "value": 1.0, "low": 1.0, "high": 1.0, "unit": "s", "basis": "fitted",
                       "source": "here"}  # fmt: skip
    by_core = views(cost, counts, {"core_name": "core", "cores": []})[3]
    assert by_core[2] == [("a", "3", "0", "40", "90", "10")]
