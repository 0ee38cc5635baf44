"""The package of `docs/plugins.rst` keeps the laws that it is shown to keep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge import conformance, plugins
from nirbridge.errors import Unsupported, UsageError
from nirbridge.evaluate import run
from nirbridge.graph import digest
from nirbridge.graph.stack import layered
from nirbridge.passes import Pipeline
from nirbridge.protocols import Pass, Program, Target, Trainer, TrainStats
from nirbridge.semantics import Semantics, with_semantics

FOLDER = Path(__file__).parents[1] / "examples" / "plugin"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package on the path, with the entry points of its pyproject."""
    import tomllib

    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    info = tmp_path / "nirbridge_example-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    sections = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(sections))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(FOLDER))


def stepper() -> Target:
    target: Target = plugins.parse("targets", "dense")
    return target


@pytest.mark.parametrize(
    "law",
    [
        "check_no_input_no_spikes",
        "check_batch_equals_samples",
        "check_repeatable",
        "check_leaves_its_input_alone",
        "check_counts",
        "check_cost",
    ],
)
def test_the_target_keeps_the_laws_of_targets(law: str) -> None:
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6))
    getattr(conformance, law)(stepper(), graph, data.spikes)


def test_the_target_places_every_neuron_and_its_passes_settle() -> None:
    graph = conformance.example_graph(np.random.default_rng(5), layers=2)
    conformance.check_placement(stepper(), graph)
    conformance.check_passes_idempotent(stepper(), graph)
    assert isinstance(stepper(), Target)
    assert isinstance(stepper().compile(graph), Program)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_target_agrees_with_the_reference(layers: int) -> None:
    graph = conformance.example_graph(np.random.default_rng(5), layers=layers)
    data = conformance.example_data(np.random.default_rng(6))
    reference = plugins.parse("targets", "reference:arithmetic=float64")
    conformance.check_agrees_with_reference(stepper(), reference, graph, data.spikes, share=1.0)


def test_what_the_target_cannot_step_it_refuses() -> None:
    graph = conformance.example_graph(np.random.default_rng(5))
    other = with_semantics(graph, Semantics(dt=1e-3, multi_spike=True))
    assert [finding.code for finding in stepper().check(other)] == ["NB201"]
    with pytest.raises(Unsupported):
        stepper().compile(other)


def test_the_pass_keeps_its_law() -> None:
    graph = conformance.example_graph(np.random.default_rng(5))
    prune = plugins.parse("passes", "prune-weights:share=0.2")
    assert isinstance(prune, Pass)
    after = Pipeline((prune,))(graph)
    old, new = graph.nodes["w1"].weight, after.nodes["w1"].weight
    assert np.abs(old - new).max() < 0.2 * np.abs(old).max()
    assert np.array_equal(old[new != 0], new[new != 0])
    assert 0 < np.count_nonzero(new == 0) < new.size
    assert digest(prune(after)) == digest(after)
    with pytest.raises(UsageError, match="expected 0 to 1"):
        plugins.parse("passes", "prune-weights:share=2")


def test_the_trainer_keeps_the_laws_of_trainers_and_learns() -> None:
    trainer = plugins.parse("trainers", "delta-rule:epochs=5")
    assert isinstance(trainer, Trainer)
    rng = np.random.default_rng(1)
    bare = layered(inputs=conformance.example.INPUTS, hidden=[], outputs=3, dt=1e-3, rng=rng)
    graph = with_semantics(bare, Semantics(dt=1e-3, decay="exact"))
    data = conformance.example_data(rng, samples=60)
    conformance.check_same_seed_same_weights(trainer, graph, data)
    conformance.check_keeps_structure(trainer, graph, data)
    seen: list[TrainStats] = []
    trained = trainer.fit(graph, data, rng=rng, on_step=seen.append)
    assert [stats.epoch for stats in seen] == [1, 2, 3, 4, 5]
    fresh = conformance.example_data(np.random.default_rng(9), samples=60)
    accuracy = run(trained, stepper(), fresh).accuracy
    assert accuracy is not None
    assert accuracy > 0.9


def test_the_core_does_not_know_it() -> None:
    code = "import nirbridge.plugins as p; print([x.name for x in p.available('targets')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "dense" not in done.stdout
