"""Recordings (NIRData): what plain nir writes is read, what is written plain nir reads, nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, FindingWarning, UsageError
from nirbridge.io import read_dataset, read_graph, read_spikes, write_dataset, write_spikes
from nirbridge.io.nir_data import is_recording
from nirbridge.spikes import Spikes

INF = np.inf


def write(path: Path, **observables: Any) -> Path:
    """What plain nir writes: node name -> observable "spikes"."""
    nodes = {name: nir.NIRNodeData({"spikes": item}) for name, item in observables.items()}
    nir.write_data(path, nir.NIRGraphData(nodes))
    return path


def events(idx: Any, time: Any, n: int = 3, t_max: float = 0.5, dtype: str = "f8") -> nir.EventData:
    return nir.EventData(np.array(idx), np.array(time, dtype=dtype), n, t_max)


def same(a: Spikes, b: Spikes) -> bool:
    return (
        np.array_equal(a.times, b.times)
        and np.array_equal(a.units, b.units)
        and np.array_equal(a.offsets, b.offsets)
        and (a.n_units, a.duration) == (b.n_units, b.duration)
        and (a.values is None) == (b.values is None)
        and (a.values is None or np.array_equal(a.values, b.values))
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rec.nir"


def refused(path: Path, code: str, *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_spikes(path)
    assert caught.value.code == code, caught.value
    assert str(path) in caught.value.message
    for word in words:
        assert word in caught.value.message


# what plain nir wrote


def test_padded_events_are_read(path: Path) -> None:
    write(path, h=events([[2, 0, -1], [1, -1, -1]], [[0.3, 0.1, INF], [0.25, INF, INF]]))
    (spikes,) = read_spikes(path).values()
    assert spikes.times.tolist() == [0.1, 0.3, 0.25]
    assert spikes.units.tolist() == [0, 2, 1]
    assert spikes.offsets.tolist() == [0, 2, 3]
    assert (spikes.n_units, spikes.duration) == (3, 0.5)


def test_a_pad_is_an_index_or_a_time(path: Path) -> None:
    write(path, h=events([[-1, 0, 2]], [[0.1, INF, 0.2]]))
    assert read_spikes(path)["h"].units.tolist() == [2]


def test_values_are_kept(path: Path) -> None:
    idx, time, value = np.array([[0, 1, -1]]), np.array([[0.1, 0.1, INF]]), np.array([[3.0, -4.0, 9.0]])
    write(path, h=nir.ValuedEventData(idx=idx, time=time, n_neurons=2, t_max=0.2, value=value))
    assert read_spikes(path)["h"].values.tolist() == [3, -4]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_multiples_of_dt_fall_into_their_step(path: Path, dtype: str) -> None:
    steps = np.arange(3000)
    times = (steps * np.dtype(dtype).type(0.1)).astype(dtype)[None]
    write(path, h=events(np.zeros((1, 3000), int), times, 1, 300.0, dtype))
    spikes = read_spikes(path)["h"]
    assert spikes.n_steps(0.1) == 3000
    assert np.array_equal(spikes.steps(0.1), steps)


def test_nir_puts_the_same_events_elsewhere() -> None:
    """The reason why nir's own conversion is not used: 0.3/0.1 falls into step 2, and t_max loses a step."""
    grid = events([[0]], [[0.3]], 1, 0.5).to_time_gridded(0.1)
    assert grid.data[0, :, 0].tolist() == [False, False, True, False, False]
    assert events([[0]], [[0.1]], 1, 0.3).to_time_gridded(0.1).n_time_steps == 2


def test_the_last_partial_step_is_a_step(path: Path) -> None:
    write(path, h=events([[0]], [[0.34]], 1, 0.35))
    spikes = read_spikes(path)["h"]
    assert spikes.to_dense(0.1)[0, :, 0].tolist() == [0, 0, 0, 1]
    with pytest.raises(IndexError):
        events([[0]], [[0.34]], 1, 0.35).to_time_gridded(0.1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_an_event_at_the_end_belongs_to_the_last_step(path: Path, dtype: str) -> None:
    write(path, h=events([[0, 0]], [[0.1, 0.3]], 1, 0.3, dtype))
    spikes = read_spikes(path)["h"]
    assert spikes.to_dense(0.1)[0, :, 0].tolist() == [0, 1, 1]


def test_events_of_one_step_are_counted(path: Path) -> None:
    write(path, h=events([[0, 0, 0]], [[0.11, 0.12, 0.2]], 1))
    assert read_spikes(path)["h"].to_dense(0.1)[0, :, 0].tolist() == [0, 2, 1, 0, 0]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_a_grid_of_counts_is_read(path: Path, dtype: type) -> None:
    grid = np.zeros((2, 4, 3), dtype)
    grid[0, 2, 1] = 1
    grid[1, 3, 0] = 1 if dtype is bool else 3
    write(path, h=nir.TimeGriddedData(grid, 0.001))
    spikes = read_spikes(path)["h"]
    assert np.array_equal(spikes.to_dense(0.001), grid.astype(int))
    assert (spikes.duration, spikes.n_units) == (0.004, 3)


def test_a_membrane_is_left_out_and_named(path: Path) -> None:
    trace = nir.TimeGriddedData(np.full((1, 4, 3), 0.25), 0.001)
    nir.write_data(
        path, nir.NIRGraphData({"h": nir.NIRNodeData({"v": trace, "spikes": events([[0]], [[0.1]])})})
    )
    with pytest.warns(FindingWarning, match="NB507.*'h:v'"):
        assert list(read_spikes(path)) == ["h"]


def test_graphs_inside_graphs_are_read(path: Path) -> None:
    write(path, a=events([[0]], [[0.1]]), b=events([[1]], [[0.2]]))
    with h5py.File(path, "r+") as file:  # what nir.write_data would write if it did not recurse for ever
        outer = file.create_group("nodes/outer")
        outer.attrs["__type__"] = "NIRGraphData"
        outer.create_group("nodes")
        file.copy("nodes/b", outer["nodes"], name="inner")
    back = read_spikes(path)
    assert list(back) == ["a", "b", "outer.inner"]
    assert back["outer.inner"].units.tolist() == [1]
    assert list(nir.read_data(path).nodes["outer"].nodes) == ["inner"]


def test_an_observable_of_another_name_is_told_apart(path: Path) -> None:
    item = events([[0]], [[0.1]])
    nir.write_data(path, nir.NIRGraphData({"h": nir.NIRNodeData({"spikes": item, "input": item})}))
    assert sorted(read_spikes(path)) == ["h", "h:input"]


# refusals


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (events([[3]], [[0.1]]), ["index 3", "0 to 2"]),
        (events([[0, -2]], [[0.1, 0.1]]), ["event 1", "index -2"]),
        (events([[0]], [[-0.1]]), ["time -0.1"]),
        (events([[0]], [[0.6]]), ["time 0.6", "0.5 s (t_max)"]),
        (events([[0]], [[np.nan]]), ["time nan"]),
        (events([[0]], [[-INF]]), ["time -inf"]),
    ],
)
def test_events_out_of_range(path: Path, item: nir.EventData, words: list[str]) -> None:
    refused(write(path, h=item), "NB501", "'h', sample 0", *words)


def change(edit: Callable[[h5py.Group], object]) -> Callable[[h5py.File], object]:
    return lambda file: edit(file["nodes/h/observables/spikes"])


def replaced(group: h5py.Group, name: str, value: Any) -> None:
    del group[name]
    if value is not None:
        group[name] = value


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (change(lambda g: g.attrs.__delitem__("n_neurons")), "NB507"),
        (change(lambda g: g.attrs.__setitem__("n_neurons", 2**40)), "NB507"),
        (change(lambda g: g.attrs.__setitem__("n_neurons", 1.5)), "NB507"),
        (change(lambda g: g.attrs.__setitem__("n_neurons", "many")), "NB010"),
        (change(lambda g: g.attrs.__setitem__("t_max", np.nan)), "NB507"),
        (change(lambda g: g.attrs.__setitem__("t_max", np.ones(3))), "NB010"),
        (change(lambda g: g.attrs.__setitem__("__type__", "Events")), "NB507"),
        (change(lambda g: g.attrs.__setitem__("__type__", "x" * 1000)), "NB507"),
        (change(lambda g: replaced(g, "idx", None)), "NB507"),
        (change(lambda g: replaced(g, "idx", np.zeros(1))), "NB507"),
        (change(lambda g: replaced(g, "idx", np.full((1, 1), 0.5))), "NB507"),
        (change(lambda g: replaced(g, "time", np.zeros((1, 2)))), "NB507"),
        (change(lambda g: replaced(g, "time", "text")), "NB507"),
        (change(lambda g: replaced(g, "time", h5py.ExternalLink("x.h5", "/t"))), "NB002"),
        (lambda file: file["nodes/h"].attrs.__delitem__("__type__"), "NB507"),
        (lambda file: file.__delitem__("nodes/h/observables"), "NB507"),
        (lambda file: file.__delitem__("nodes"), "NB507"),
        (lambda file: file.attrs.__setitem__("__type__", "NIRGraph"), "NB013"),
        (lambda file: file["nodes/h"].__setitem__("again", file["nodes"]), "NB006"),
    ],
)
def test_files_of_another_layout(path: Path, edit: Callable[[h5py.File], object], code: str) -> None:
    write(path, h=events([[0]], [[0.1]]))
    with h5py.File(path, "r+") as file:
        edit(file)
    refused(path, code)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.inf])
def test_a_grid_needs_a_step(path: Path, dt: float) -> None:
    refused(write(path, h=nir.TimeGriddedData(np.zeros((1, 2, 3), bool), dt)), "NB507", "dt")


def test_a_graph_is_no_recording_and_the_reverse(path: Path, tmp_path: Path) -> None:
    write(path, h=events([[0]], [[0.1]]))
    nir.write(tmp_path / "net.nir", nir.NIRGraph.from_list(nir.Linear(np.eye(2))))
    (tmp_path / "none.nir").write_bytes(b"no file of this kind")
    assert [is_recording(tmp_path / name) for name in ("rec.nir", "net.nir", "none.nir")] == [
        True,
        False,
        False,
    ]
    refused(tmp_path / "net.nir", "NB013")
    with pytest.raises(BadInput, match="recording"):
        read_graph(path)


def test_the_limit_counts_for_recordings(path: Path) -> None:
    write(path, h=nir.TimeGriddedData(np.zeros((1, 1000, 1000), bool), 0.001))
    with pytest.raises(BadInput) as caught:
        read_dataset(path, max_bytes=1000)
    assert caught.value.code == "NB007"


# what is written


@st.composite
def spikes(draw: st.DrawFn) -> Spikes:
    n = draw(st.integers(0, 12))
    times = draw(st.lists(st.floats(0, 0.5, exclude_max=True), min_size=n, max_size=n))
    units = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    samples = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    value = st.integers(-(2**31), 2**31 - 1)
    values = draw(st.none() | st.lists(value, min_size=n, max_size=n))
    return Spikes.from_events(times, units, samples, n_samples=3, n_units=5, duration=0.5, values=values)


@settings(max_examples=60, deadline=None)
@given(spikes())
def test_events_come_back(tmp_path_factory: pytest.TempPathFactory, item: Spikes) -> None:
    path = tmp_path_factory.mktemp("rec") / "rec.nir"
    write_spikes(path, {"a.b": item})
    (back,) = read_spikes(path).values()
    assert same(back, item)
    plain = nir.read_data(path).nodes["a.b"].observables["spikes"]
    assert (plain.idx >= 0).sum() == len(item.times)


@settings(max_examples=60, deadline=None)
@given(spikes(), st.sampled_from([0.1, 0.03, 0.001]))
def test_grids_keep_every_spike(tmp_path_factory: pytest.TempPathFactory, item: Spikes, dt: float) -> None:
    path = tmp_path_factory.mktemp("rec") / "rec.nir"
    plain = Spikes(item.times, item.units, item.offsets, item.n_units, item.duration)
    counts = plain.to_dense(dt)
    if counts.max(initial=0) > 1:
        with pytest.warns(FindingWarning, match="NB502"):
            write_spikes(path, {"h": plain}, dt=dt)
    else:
        write_spikes(path, {"h": plain}, dt=dt)
    assert np.array_equal(read_spikes(path)["h"].to_dense(dt), counts)
    grid = nir.read_data(path).nodes["h"].observables["spikes"]
    assert np.array_equal(grid.data, counts)
    assert (grid.data.dtype == bool) == (counts.max(initial=0) <= 1)


def test_a_grid_that_is_too_large_is_refused(path: Path) -> None:
    item = Spikes.from_events([0.1], [0], [0], n_samples=1, n_units=1000, duration=1000.0)
    with pytest.raises(UsageError, match="cells"):
        write_spikes(path, {"h": item}, dt=1e-6)
    assert not path.exists()


@pytest.mark.parametrize("dt", [None, 0.001])
def test_labels_and_groups_stand_beside_what_nir_reads(path: Path, dt: float | None) -> None:
    item = Spikes.from_events([0.1, 0.2], [0, 1], [0, 1], n_samples=2, n_units=2, duration=0.5)
    dataset = Dataset(item, np.array([1, 0]), ("nein", "für"), np.array([7, 8]))
    write_dataset(path, dataset, dt=dt)
    back = read_dataset(path)
    assert back.labels.tolist() == [1, 0]
    assert back.classes == ("nein", "für")
    assert back.groups.tolist() == [7, 8]
    assert np.array_equal(back.spikes.to_dense(0.001), item.to_dense(0.001))
    assert list(nir.read_data(path).nodes) == ["input"]


def test_one_node_of_several_is_chosen(path: Path) -> None:
    write(path, a=events([[0]], [[0.1]]), b=events([[1]], [[0.2]]))
    with pytest.raises(BadInput, match=r"NODE: a, b") as caught:
        read_dataset(path)
    assert caught.value.code == "NB504"
    assert read_dataset(path, node="b").spikes.units.tolist() == [1]
    with pytest.raises(BadInput, match="no spikes of node 'c'"):
        read_dataset(path, node="c")
    with pytest.raises(BadInput) as caught:
        read_dataset(path, node="b", n_units=7)
    assert caught.value.code == "NB501"


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_other_files_have_no_nodes(tmp_path: Path, ending: str) -> None:
    item = Dataset(Spikes.from_events([0.1], [0], [0], n_samples=1, n_units=1, duration=0.5))
    with pytest.raises(UsageError, match="recording"):
        write_dataset(tmp_path / f"a{ending}", item, node="h")
    write_dataset(tmp_path / f"a{ending}", item)
    with pytest.raises(UsageError, match="recording"):
        read_dataset(tmp_path / f"a{ending}", node="h")
