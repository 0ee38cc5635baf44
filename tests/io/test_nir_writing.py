"""Graphs and recordings written to `.nir` files: atomic, equal on reading, readable by plain nir."""

import os
import stat
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import equal, make, read_metadata, write_metadata
from nirbridge.graph.metadata import GraphMetadata
from nirbridge.io import lint_file, read_graph, write_graph, write_spikes
from nirbridge.io.atomic import atomic_path, write_text
from nirbridge.io.nir_format import NirFormat
from nirbridge.spikes import Spikes


def chain(
    *nodes: nir.NIRNode, shape_in: tuple[int, ...] = (2,), shape_out: tuple[int, ...] = (2,)
) -> nir.NIRGraph:
    """input -> n0 -> n1 … -> output."""
    names = ["input", *(f"n{k}" for k in range(len(nodes))), "output"]
    ends = nir.Input(np.array(shape_in)), nir.Output(np.array(shape_out))
    return make(
        dict(zip(names, [ends[0], *nodes, ends[1]], strict=True)),
        list(pairwise(names)),
    )


def linear(**metadata: object) -> nir.Linear:
    return nir.Linear(np.eye(2, dtype=np.float32), metadata=metadata)


# atomic writes


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    write_graph(path, chain(linear()))
    before = path.read_bytes()
    broken = chain(linear(bad=object()))
    with pytest.raises(BadInput):
        write_graph(path, broken)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.nir"]  # noqa: PTH208


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "report.json"
    write_text(path, "old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


def test_a_symbolic_link_keeps_pointing_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write here"):
        write_graph(tmp_path / "none" / "net.nir", chain(linear()))
    with pytest.raises(UsageError, match="is a folder"):
        write_text(tmp_path, "text")


# round trips


finite = st.floats(-100, 100, width=32)
texts = st.text(
    st.characters(blacklist_categories=("C", "Zl", "Zp"), blacklist_characters="/"), min_size=1, max_size=8
)
names = texts.filter(lambda name: name not in (".", "input", "output"))
written = st.characters(min_codepoint=1, blacklist_categories=("Cs",))
values = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(written, max_size=20),
    st.lists(st.integers(-100, 100), max_size=4),
    st.dictionaries(names, st.integers(0, 9), max_size=2),
)
metadata = st.dictionaries(names, values, max_size=3)
KINDS = [
    "LIF",
    "IF",
    "LI",
    "I",
    "CubaLIF",
    "CubaLI",
    "Linear",
    "Affine",
    "Scale",
    "Delay",
    "Threshold",
    "scalar",
]


def arrays(size: int) -> st.SearchStrategy[np.ndarray]:
    dtypes = st.sampled_from([np.float32, np.float64])
    return st.builds(
        lambda d, v: np.array(v, dtype=d), dtypes, st.lists(finite, min_size=size, max_size=size)
    )


@st.composite
def nodes(draw: st.DrawFn, size: int) -> nir.NIRNode:
    """A node of any type that takes and gives ``size`` values."""
    kind = draw(st.sampled_from(KINDS))
    meta = draw(metadata)
    p = [draw(arrays(size)) for _ in range(7)]
    weight = np.stack([draw(arrays(size)) for _ in range(size)])
    make_node = {
        "LIF": lambda: nir.LIF(*p[:5], metadata=meta),
        "IF": lambda: nir.IF(*p[:3], metadata=meta),
        "LI": lambda: nir.LI(*p[:3], metadata=meta),
        "I": lambda: nir.I(p[0], metadata=meta),
        "CubaLIF": lambda: nir.CubaLIF(*p, metadata=meta),
        "CubaLI": lambda: nir.CubaLI(*p[:5], metadata=meta),
        "Linear": lambda: nir.Linear(weight, metadata=meta),
        "Affine": lambda: nir.Affine(weight, p[0], metadata=meta),
        "Scale": lambda: nir.Scale(p[0], metadata=meta),
        "Delay": lambda: nir.Delay(np.abs(p[0]), metadata=meta),
        "Threshold": lambda: nir.Threshold(p[0], metadata=meta),
        "scalar": lambda: nir.LI(*(np.array(x[0]) for x in p[:3]), metadata=meta),
    }
    return make_node[kind]()


@st.composite
def graphs(draw: st.DrawFn, depth: int = 1) -> nir.NIRGraph:
    size = draw(st.integers(1, 3))
    inner = draw(st.dictionaries(names, nodes(size), min_size=1, max_size=4))
    if depth:
        inner |= draw(st.dictionaries(names, graphs(depth=depth - 1), max_size=1))
    ends = {"input": nir.Input(np.array([size])), "output": nir.Output(np.array([size]))}
    everything = [*ends, *inner]
    edges = draw(
        st.lists(st.tuples(st.sampled_from(everything), st.sampled_from(everything)), max_size=8, unique=True)
    )
    return make(ends | inner, edges, draw(metadata))


def same_metadata(a: nir.NIRNode, b: nir.NIRNode) -> bool:
    if set(a.metadata) != set(b.metadata):
        return False
    if not all(np.array_equal(a.metadata[key], b.metadata[key]) for key in a.metadata):
        return False
    if isinstance(a, nir.NIRGraph):
        return all(same_metadata(node, b.nodes[name]) for name, node in a.nodes.items())
    return True


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_write_then_read_gives_an_equal_graph(graph: nir.NIRGraph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        write_graph(path, graph)
        back = read_graph(path)
        assert equal(back, graph)
        assert same_metadata(graph, back)
        # the order of edges is kept, but those into an Output stand last (NB214)
        last = sorted(graph.edges, key=lambda edge: isinstance(graph.nodes[edge[1]], nir.Output))
        assert list(map(tuple, back.edges)) == last
        write_graph(path, back)
        assert equal(read_graph(path), graph)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(nodes(2), min_size=1, max_size=4).filter(lambda ns: all(n.input_type["input"].size for n in ns))
)
def test_plain_nir_reads_what_we_write(inner: list[nir.NIRNode]) -> None:
    graph = chain(*inner)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        write_graph(path, graph)
        assert equal(nir.read(path), graph)


def test_we_read_what_plain_nir_writes(tmp_path: Path) -> None:
    one = np.ones(2)
    graph = chain(linear(note="text", numbers=[1, 2]), nir.LIF(one, one, one * 0, one))
    nir.write(tmp_path / "net.nir", graph)
    back = read_graph(tmp_path / "net.nir")
    assert equal(back, graph)
    assert back.nodes["n0"].metadata["note"] == "text"


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nir", "b.nir"):
        write_graph(tmp_path / name, chain(linear(k=1), nir.Scale(np.ones(2))))
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_quantised_weights_survive_us_and_plain_nir(tmp_path: Path) -> None:
    q = np.array([[-3, 127], [1, 0]], dtype=np.int8)
    scale = np.array([0.0078125, 0.5], dtype=np.float32)
    values = {"q": q, "scale": scale, "zero_point": 0, "bits": 8, "axis": 0}
    weight = (q * scale.astype(np.float64)[:, None]).astype(np.float32)
    graph = chain(nir.Linear(weight, metadata={"nirbridge_q": values}))
    path = tmp_path / "net.nir"
    write_graph(path, graph)
    for back in (read_graph(path), nir.read(path)):
        kept = back.nodes["n0"].metadata["nirbridge_q"]
        assert kept["q"].dtype == np.int8
        assert np.array_equal(kept["q"], q)
        assert kept["scale"].dtype == np.float32
        assert np.array_equal(kept["scale"], scale)
        assert (kept["zero_point"], kept["bits"], kept["axis"]) == (0, 8, 0)
        assert np.array_equal(back.nodes["n0"].weight, weight)


def test_our_metadata_survive_plain_nir(tmp_path: Path) -> None:
    graph = write_metadata(chain(linear()), GraphMetadata(dt=0.001, classes=["no", "yes"]))
    write_graph(tmp_path / "net.nir", graph)
    found = read_metadata(nir.read(tmp_path / "net.nir"))
    assert found is not None
    assert found.classes == ["no", "yes"]
    assert not [f for f in lint_file(tmp_path / "net.nir")[1] if f.level != "info"]


def test_a_list_of_texts_in_metadata_comes_back(tmp_path: Path) -> None:
    write_graph(tmp_path / "net.nir", chain(linear(tags=["a", "ü"])))
    assert read_graph(tmp_path / "net.nir").nodes["n0"].metadata["tags"] == ["a", "ü"]


def test_every_kind_of_convolution_and_pool_survives(tmp_path: Path) -> None:
    weight = np.arange(4 * 1 * 2 * 3, dtype=np.float32).reshape(4, 1, 2, 3)
    for padding in ("same", "valid", (1, 0), 2):
        conv = nir.Conv2d((6, 5), weight, 1, padding, (1, 2), 2, np.zeros(4))
        graph = make(
            {"c": conv, "p": nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0]))}, []
        )
        write_graph(tmp_path / "net.nir", graph)
        assert equal(read_graph(tmp_path / "net.nir"), graph)
        assert equal(nir.read(tmp_path / "net.nir", type_check=False), graph)
    conv1 = nir.Conv1d(7, weight[:, :, 0], 2, "valid", 1, 2, np.zeros(4))
    graph = make({"c": conv1, "f": nir.Flatten({"input": np.array([4, 3])}, 0, -1)}, [])
    write_graph(tmp_path / "net.nir", graph)
    assert equal(read_graph(tmp_path / "net.nir"), graph)


def test_an_unstated_input_shape_is_filled_in_from_the_edges(tmp_path: Path) -> None:
    conv = nir.Conv2d(None, np.ones((1, 2, 3, 5)), 1, 0, 1, 1, np.zeros(1))
    flatten = nir.Flatten({"input": None}, 0, -1)
    graph = chain(conv, flatten, shape_in=(2, 6, 9), shape_out=(20,))
    write_graph(tmp_path / "net.nir", graph)
    back = nir.read(tmp_path / "net.nir", type_check=False)
    assert list(back.nodes["n0"].input_shape) == [6, 9]
    assert not [f for f in lint_file(tmp_path / "net.nir")[1] if f.level != "info"]


# refusals


class Custom(nir.NIRNode):
    def __init__(self) -> None:
        self.metadata = {}
        self.input_type = self.output_type = {"input": np.array([2])}


@pytest.mark.parametrize(
    "value",
    [
        None,
        np.array(1.0),
        np.array(["a"]),
        np.array([None]),
        [1, "a"],
        [True, [1]],
        object(),
        {1: 2},
        {"": 1},
        {"a/b": 1},
        "nul\0",
        b"bytes",
        1j,
        2**70,
        {"deep": {"er": None}},
    ],
)
def test_metadata_that_nir_cannot_write(tmp_path: Path, value: object) -> None:
    for graph in (chain(linear(key=value)), make(chain(linear()).nodes, [], {"key": value})):
        with pytest.raises(BadInput) as caught:
            write_graph(tmp_path / "net.nir", graph)
        assert caught.value.code == "NB405"
        assert "'key'" in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "a/b", "esc\x1b", "n" * 300, 3])
def test_names_that_no_file_can_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        write_graph(tmp_path / "net.nir", make({name: linear()}, []))
    assert caught.value.code == "NB012"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("graph", "code"),
    [
        (make({"a": linear()}, [("a", "b")]), "NB104"),
        (make({"a": Custom()}, []), "NB101"),
        (make({"a": nir.Conv2d((3, 3), np.ones((1, 1, 2, 2)), 1, 0, 1, 1, None)}, []), "NB102"),
        (make({"a": nir.Conv2d(None, np.ones((1, 1, 2, 2)), 1, 0, 1, 1, np.zeros(1))}, []), "NB102"),
        (make({"a": nir.Linear(np.array([["x"]]))}, []), "NB127"),
        (make({"a": nir.Linear(np.array([[1j]]))}, []), "NB127"),
    ],
)
def test_graphs_that_no_file_can_hold(tmp_path: Path, graph: nir.NIRGraph, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        write_graph(tmp_path / "net.nir", graph)
    assert caught.value.code == code


# recordings and the plugin


def test_recorded_spikes_are_read_by_plain_nir(tmp_path: Path) -> None:
    path = tmp_path / "rec.nir"
    times, units, samples = [0.1, 0.2, 0.05], [0, 1, 1], [0, 0, 2]
    plain = Spikes.from_events(times, units, samples, n_samples=3, n_units=2, duration=0.5)
    graded = Spikes.from_events(
        times, units, samples, n_samples=3, n_units=2, duration=0.5, values=[3, -4, 5]
    )
    none = Spikes.from_events([], [], [], n_samples=3, n_units=2, duration=0.5)
    write_spikes(path, {"block.h": plain, "g": graded, "none": none})
    nodes = nir.read_data(path).nodes
    back = Spikes.from_event_data(nodes["block.h"].observables["spikes"])
    assert np.array_equal(back.times, plain.times)
    assert np.array_equal(back.offsets, plain.offsets)
    events = nodes["g"].observables["spikes"]
    assert isinstance(events, nir.ValuedEventData)
    assert events.value[events.idx >= 0].tolist() == [3, -4, 5]
    assert Spikes.from_event_data(nodes["none"].observables["spikes"]).n_samples == 3


def test_the_format_plugin_reads_and_writes(tmp_path: Path) -> None:
    assert NirFormat.endings == (".nir",)
    NirFormat().write(tmp_path / "net.nir", chain(linear()))
    assert equal(NirFormat().read(tmp_path / "net.nir"), chain(linear()))


def test_importing_io_imports_no_compiler_and_no_onnx() -> None:
    code = "import sys, nirbridge.io; print({'numba', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
