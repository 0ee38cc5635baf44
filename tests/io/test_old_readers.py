"""Files for older releases of nir, read by these releases themselves.

Runs where NIRBRIDGE_OLD_NIR names Python interpreters that have one, such as
``nir104/bin/python:nir107/bin/python`` (python -m venv nir104; nir104/bin/pip install nir==1.0.4 h5py).
"""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from nirbridge.graph import GraphMetadata, digest, make, write_metadata
from nirbridge.io import read_graph, write_graph
from nirbridge.plugins import parse

PYTHONS = [python for python in os.environ.get("NIRBRIDGE_OLD_NIR", "").split(os.pathsep) if python]
REWRITE = "import sys, nir; nir.write(sys.argv[2], nir.read(sys.argv[1]))"
pytestmark = pytest.mark.skipif(
    not PYTHONS, reason="NIRBRIDGE_OLD_NIR names no interpreter with an older nir"
)


def every_kind() -> nir.NIRGraph:
    """Each node type that nir 1.0.4 has, sizes that differ, and a recurrent weight behind a delay."""
    rng = np.random.default_rng(0)
    one = np.ones(4, np.float32)
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([2, 8, 8])),
        "conv": nir.Conv2d((8, 8), rng.normal(size=(4, 2, 3, 3)), 1, 0, 1, 1, rng.normal(size=4)),
        "fire": nir.IF(*(np.ones((4, 6, 6), np.float32),) * 2, np.zeros((4, 6, 6), np.float32)),
        "pool": nir.SumPool2d(np.array([6, 6]), np.array([6, 6]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([4, 1, 1])}, 0, -1),
        "affine": nir.Affine(rng.normal(size=(4, 4)), rng.normal(size=4)),
        "lif": nir.LIF(one * 0.02, one, one * 0, one, one * 0),
        "delay": nir.Delay(one * 0.002),
        "back": nir.Linear(rng.normal(size=(4, 4)).astype(np.float32)),
        "scale": nir.Scale(one * 2),
        "cuba": nir.CubaLIF(one * 0.02, one * 0.005, one, one * 0, one, one * 0, one * 3),
        "li": nir.LI(one * 0.02, one, one * 0),
        "i": nir.I(one),
        "step": nir.Threshold(one),
        "output": nir.Output(np.array([4])),
    }
    line = [
        "input",
        "conv",
        "fire",
        "pool",
        "flat",
        "affine",
        "lif",
        "scale",
        "cuba",
        "li",
        "i",
        "step",
        "output",
    ]
    edges = [*pairwise(line), ("lif", "delay"), ("delay", "back"), ("back", "lif")]
    return write_metadata(make(nodes, edges), GraphMetadata(dt=1e-3))


@pytest.mark.parametrize("python", PYTHONS)
def test_an_older_release_reads_and_rewrites_the_file(tmp_path: Path, python: str) -> None:
    asked = [python, "-c", "import nir; print(nir.version)"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    graph = every_kind()
    older = parse("passes", f"set-nir-version:version={version}")(graph)
    write_graph(tmp_path / "old.nir", older)
    command = [python, "-c", REWRITE, str(tmp_path / "old.nir"), str(tmp_path / "back.nir")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert digest(read_graph(tmp_path / "back.nir")) == digest(graph)
