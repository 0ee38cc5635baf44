"""`Pipeline` checks the graph between passes and writes the history; every pass's file is plain NIR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir
import numpy as np
import pytest

from nirbridge import __version__, plugins
from nirbridge.errors import BadInput
from nirbridge.graph import copy, digest, equal, read_metadata
from nirbridge.io import read_graph, write_graph
from nirbridge.passes import FoldInputWeight, Pipeline, QuantizeWeights, RescaleLif
from nirbridge.protocols import Pass
from nirbridge.semantics import semantics_of

Random = Callable[..., nir.NIRGraph]
pytestmark = pytest.mark.filterwarnings("ignore::nirbridge.errors.FindingWarning")
PASSES = [plugin.name for plugin in plugins.available("passes")]
# what a pass that counts in the steps of integer weights needs before it
NEEDS: dict[str, tuple[Pass, ...]] = {
    "quantize-biases": (RescaleLif(), QuantizeWeights()),
    "quantize-thresholds": (RescaleLif(), QuantizeWeights()),
}
# passes that need an option, or whose default does not take this graph
SPECS = {"rename": "rename:old=w2,new=middle", "set-nir-version": "set-nir-version:version=1.0.6"}


@dataclass(frozen=True)
class Nothing:
    """Returns a copy."""

    name: ClassVar[str] = "nothing"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return copy(graph)


@dataclass(frozen=True)
class Break:
    """Leaves a time constant below zero."""

    name: ClassVar[str] = "break"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        result = copy(graph)
        result.nodes["b"].tau = -np.ones(8)
        return result


def test_every_pass_that_changed_something_is_recorded(random: Random) -> None:
    graph = random(0)
    seen: list[tuple[str, str, str]] = []
    passes: tuple[Pass, ...] = (
        FoldInputWeight(),
        Nothing(),
        RescaleLif(),
        RescaleLif(),
        QuantizeWeights(bits=4, scheme="mse"),
    )
    pipeline = Pipeline(passes, seen=lambda item, a, b: seen.append((item.name, digest(a), digest(b))))
    after = pipeline(graph)
    metadata = read_metadata(after)
    assert metadata is not None
    assert [entry.pass_ for entry in metadata.history] == [
        "fold-input-weight",
        "rescale-lif",
        "quantize-weights",
    ]
    assert [name for name, _, _ in seen] == [item.name for item in passes]
    assert metadata.history[-1].options == {
        "bits": 4,
        "scheme": "mse",
        "percentile": None,
        "granularity": "population",
    }
    assert metadata.history[0].options == {}
    assert {entry.tool for entry in metadata.history} == {f"nirbridge {__version__}"}
    chain = [digest(graph), *(entry.after for entry in metadata.history)]
    assert [entry.before for entry in metadata.history] == chain[:-1]
    assert metadata.digest == chain[-1] == digest(after)


def test_nothing_changed_leaves_no_entry(random: Random) -> None:
    graph = random(0)
    after = Pipeline((Nothing(), Nothing()))(graph)
    assert after.metadata == graph.metadata
    assert equal(after, graph)
    once = Pipeline((QuantizeWeights(),))(graph)
    assert Pipeline((QuantizeWeights(),))(once).metadata == once.metadata


def test_a_history_goes_on_and_semantics_stay(random: Random) -> None:
    one = Pipeline((RescaleLif(),))(random(0))
    two = Pipeline((QuantizeWeights(),))(one)
    metadata = read_metadata(two)
    assert metadata is not None
    assert [entry.pass_ for entry in metadata.history] == ["rescale-lif", "quantize-weights"]
    assert semantics_of(two) == semantics_of(random(0))


def test_a_pipeline_is_a_pass(random: Random) -> None:
    inner = Pipeline((RescaleLif(), QuantizeWeights()))
    assert isinstance(inner, Pass)
    nested = Pipeline((FoldInputWeight(), inner))(random(0))
    flat = Pipeline((FoldInputWeight(), RescaleLif(), QuantizeWeights()))(random(0))
    assert equal(nested, flat)
    assert nested.metadata == flat.metadata


def test_a_graph_without_metadata_keeps_none(random: Random) -> None:
    graph = random(0)
    graph.metadata.clear()
    assert Pipeline((FoldInputWeight(), QuantizeWeights()))(graph).metadata == {}


def test_an_invalid_graph_is_refused_before_the_first_pass(random: Random) -> None:
    ran: list[str] = []
    with pytest.raises(BadInput, match=r"the graph before the first pass: .*tau") as caught:
        Pipeline((Nothing(),), seen=lambda item, a, b: ran.append(item.name))(Break()(random(0)))
    assert caught.value.code == "NB121"
    assert ran == []


def test_a_pass_that_leaves_an_invalid_graph_is_named_with_those_before_it(random: Random) -> None:
    with pytest.raises(RuntimeError, match=r"pass 'break' .*\(ran before it: nothing, fold-input-weight\)"):
        Pipeline((Nothing(), FoldInputWeight(), Break(), RescaleLif()))(random(0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PASSES)
def test_what_a_pass_leaves_is_read_by_nir_itself(
    random: Random, tmp_path: Path, name: str, dtype: type[np.floating]
) -> None:
    path = tmp_path / "net.nir"
    after = Pipeline((*NEEDS.get(name, ()), plugins.parse("passes", SPECS.get(name, name))))(random(0, dtype))
    write_graph(path, after)
    by_nir = nir.read(path)
    assert equal(by_nir, after)
    assert by_nir.metadata["nirbridge"] == after.metadata["nirbridge"]
    assert equal(read_graph(path), after)


@pytest.mark.parametrize("name", PASSES)
def test_no_pass_changes_its_input(random: Random, name: str) -> None:
    graph = Pipeline(NEEDS.get(name, ()))(random(1))
    kept = copy(graph)
    plugins.parse("passes", SPECS.get(name, name))(graph)
    assert equal(graph, kept)
    assert graph.metadata == kept.metadata
    assert all(node.metadata.keys() == kept.nodes[n].metadata.keys() for n, node in graph.nodes.items())
