"""A small valid `.nir` file, written with h5py alone, for tests to change before it is read."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.io import Limits, read_graph

STRING = h5py.string_dtype()
HARMLESS = Limits(max_bytes=1 << 20, max_objects=2000)


def put_graph(file: h5py.File | h5py.Group, name: str = "node") -> h5py.Group:
    """A valid graph input(2) -> w -> h(2) -> output(2) under ``name``."""
    root = file.create_group(name)
    root["type"] = "NIRGraph"
    root.create_dataset(
        "edges", data=np.array([["input", "w"], ["w", "h"], ["h", "output"]], dtype=object), dtype=STRING
    )
    nodes = root.create_group("nodes")
    for port, kind in (("input", "Input"), ("output", "Output")):
        nodes.create_group(port).update({"type": kind, "shape": [2]})
    nodes.create_group("w").update({"type": "Linear", "weight": np.eye(2, dtype=np.float32)})
    one = np.ones(2)
    lif = {"type": "LIF", "tau": one * 0.01, "r": one, "v_leak": one * 0, "v_threshold": one}
    nodes.create_group("h").update(lif)
    return root


def refused(path: Path, limits: Limits = HARMLESS) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_graph(path, limits=limits)
    assert str(path) in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def code_of(path: Path, change: Callable[[h5py.File], object], limits: Limits = HARMLESS) -> str:
    with h5py.File(path, "w") as file:
        put_graph(file)
        change(file)
    return refused(path, limits).code


def replace_weight(file: h5py.File, **options: object) -> None:
    del file["node/nodes/w/weight"]
    file["node/nodes/w"].create_dataset("weight", **options)
