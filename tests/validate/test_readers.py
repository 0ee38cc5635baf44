"""What other frameworks' readers would lose: the table of readers, applied to small graphs."""

import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_rules import ONE, chain, conv, cuba, edit, lif, linear, metadata, with_nodes

from nirbridge.io import read_graph, write_graph
from nirbridge.validate import validate
from nirbridge.validate.fields import FIELDS
from nirbridge.validate.reader_rules import check_reader
from nirbridge.validate.readers import READERS


def codes(graph: nir.NIRGraph, reader: str) -> set[str]:
    return {finding.code for finding in check_reader(graph, reader)}


def loop(*first: tuple[str, str]) -> nir.NIRGraph:
    graph = with_nodes(chain(linear(), lif()), back=linear())
    edges = [*first, *graph.edges, ("n1", "back"), ("back", "n1")]
    graph.edges = list(dict.fromkeys(edges))
    return graph


def test_the_table_names_node_types_and_fields_of_nir() -> None:
    for name, reader in READERS.items():
        assert reader.refuses | reader.r_is_one <= set(FIELDS), name
        assert reader.mixed <= {field for item in FIELDS.values() for field in item.parameters}, name
        assert reader.resets, name


@pytest.mark.parametrize("reader", READERS)
def test_a_plain_lif_with_r_as_its_exporter_writes_it_is_taken_by_all_but_those_without_lif(
    reader: str,
) -> None:
    graph = chain(linear(), lif(tau=ONE * 0.02, r=ONE * 20))  # tau/r = 1 ms: adds its input unscaled
    row = READERS[reader]
    expected: set[str] = {"NB201"} if "LIF" in row.refuses else set()
    expected |= {"NB205"} if "LIF" in row.r_is_one else set()
    expected |= set() if "value" in row.resets else {"NB210"}
    assert codes(graph, reader) == expected


CASES: dict[str, tuple[nir.NIRGraph, str, set[str], set[str]]] = {
    # name: graph, code, readers that report it, readers that must not
    "leak": (
        chain(linear(), lif(v_leak=ONE * 0.1)),
        "NB203",
        {"snntorch", "sinabs", "nengo", "genn"},
        {"norse", "loihi", "spinnaker2"},
    ),
    "reset": (
        chain(linear(), lif(v_reset=-ONE)),
        "NB204",
        {"snntorch", "norse", "spyx", "sinabs", "spinnaker2"},
        {"genn", "ode"},
    ),
    "r": (
        chain(linear(), lif(r=ONE * 3), nirbridge=metadata()),
        "NB205",
        {"norse", "spyx", "rockpool"},
        {"snntorch", "nengo"},
    ),
    "mixed": (chain(linear(), lif(tau=np.array([0.01, 0.02]))), "NB206", {"nengo", "lava-dl"}, {"snntorch"}),
    "mixed-threshold": (
        chain(linear(), lif(v_threshold=np.array([1.0, 2.0]))),
        "NB206",
        {"nengo", "lava-dl", "snntorch"},
        {"norse"},
    ),
    "bias": (
        chain(nir.Affine(np.ones((2, 2)), ONE), lif()),
        "NB207",
        {"spinnaker2", "loihi"},
        {"norse", "spyx", "lava-dl"},
    ),
    "delay": (
        chain(linear(), lif(), nir.Delay(ONE * 0.001)),
        "NB208",
        {"snntorch", "norse", "spyx", "rockpool", "spinnaker2"},
        {"loihi", "genn"},
    ),
    "groups": (
        chain(conv(weight=np.ones((2, 1, 3, 3)), groups=2), to=(2, 4, 4), of=(2, 2, 2)),
        "NB209",
        {"norse", "snntorch", "sinabs"},
        {"spyx", "loihi"},
    ),
    "pool": (
        chain(nir.AvgPool2d(*np.array([[2, 2], [2, 2], [0, 0]])), to=(1, 4, 4), of=(1, 2, 2)),
        "NB209",
        {"norse", "spyx", "rockpool"},
        {"snntorch"},
    ),
    "loop": (loop(), "NB211", {"snntorch", "sinabs"}, {"norse", "spyx", "genn"}),
    "loop-late": (loop(), "NB214", {"norse"}, {"snntorch", "genn"}),
    "loop-first": (loop(("n1", "back"), ("back", "n1")), "NB214", set(), {"norse"}),
    "flatten": (
        chain(nir.Flatten({"input": np.array([1, 2])}, 0, -1), to=(1, 2)),
        "NB213",
        {"norse", "snntorch"},
        {"spyx"},
    ),
    "two-branches": (
        edit(with_nodes(chain(linear(), lif()), x=linear()), add=(("input", "x"), ("x", "output"))),
        "NB214",
        {"snntorch"},
        {"norse"},
    ),
    "series": (chain(linear(), linear(), lif()), "NB202", {"spinnaker2"}, {"norse", "loihi"}),
    "no-weight": (chain(lif()), "NB202", {"spinnaker2"}, {"norse", "loihi"}),
    "cuba": (chain(linear(), cuba()), "NB201", {"sinabs", "ode"}, {"norse", "snntorch"}),
    "subtract": (
        chain(linear(), lif(), nirbridge=metadata(semantics={"reset": "subtract"})),
        "NB210",
        {"loihi", "nengo", "lava-dl"},
        {"spyx", "rockpool", "snntorch", "norse"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_reader_reports_what_its_row_says(case: str) -> None:
    graph, code, reporting, silent = CASES[case]
    for reader in reporting:
        assert code in codes(graph, reader), reader
    for reader in silent:
        assert code not in codes(graph, reader), reader


def exact(c: float, *taus: float, **more: Any) -> nir.NIRGraph:
    tau = np.array(taus)
    size = len(taus)
    neuron = lif(size, tau=tau, r=tau * np.exp(-c / tau) / c)
    return chain(linear(size, size), neuron, to=(size,), of=(size,), **more)


def test_gains_of_an_exporter_with_exact_decay_are_recognised() -> None:
    def reported(graph: nir.NIRGraph) -> bool:
        return "NB307" in {finding.code for finding in validate(graph)}

    assert reported(exact(1e-4, 0.0025))  # a round step
    assert reported(exact(1.3e-4, 0.0025, 0.004))  # one step for two tau
    assert not reported(exact(1.3e-4, 0.0025))  # one pair always has a solution
    assert not reported(exact(1e-4, 0.0025, nirbridge=metadata(1e-4, semantics={"decay": "exact"})))
    assert reported(exact(1e-4, 0.0025, nirbridge=metadata(1e-4)))
    assert not reported(exact(1e-4, 0.0025, nirbridge=metadata(2e-4)))
    assert not reported(chain(linear(), lif(tau=np.array([0.01, 0.02]), r=np.array([10.0, 20.0]))))
    assert not reported(chain(linear(), lif()))
    assert not reported(chain(linear(), lif(tau=ONE * 0.01763222834)))  # r = 1 would mean dt = 10 ms > tau/2


def test_euler_readers_are_warned_of_exact_gains_and_exact_readers_are_not() -> None:
    graph = exact(1e-4, 0.0025, 0.004)
    for name, reader in READERS.items():
        assert ("NB307" in codes(graph, name)) != reader.exact, name


def test_a_written_file_has_its_readout_last(tmp_path: Path) -> None:
    """Norse returns the node that was executed last (NB214), so edges into an Output are written last."""
    graph = loop()
    graph.edges = sorted(graph.edges, key=lambda edge: edge[1] != "output")
    assert "NB214" in codes(graph, "norse")
    write_graph(tmp_path / "net.nir", graph)
    assert "NB214" not in codes(read_graph(tmp_path / "net.nir"), "norse")
