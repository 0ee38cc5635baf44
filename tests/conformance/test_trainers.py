"""Every installed trainer, held to the laws of `nirbridge.conformance`."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.plugins import available, build, load

TRAINERS = [plugin.name for plugin in available("trainers")]


def make(name: str, epochs: int = 2, **options):
    return build(load("trainers", name), {"epochs": epochs, "batch": 5, **options}, name=name)


# Trainers of first-spike losses take a read-out that spikes.
GRAPHS = {"spinnaker2": conformance.spiking_example_graph}


@pytest.fixture
def graph(name):
    start = GRAPHS.get(name, conformance.example_graph)
    return start(np.random.default_rng(5), layers=2)


@pytest.fixture
def data():
    return conformance.example_data(np.random.default_rng(6), samples=23)


@pytest.mark.parametrize("name", TRAINERS)
def test_same_seed_same_weights(name, graph, data):
    conformance.check_same_seed_same_weights(make(name), graph, data)


@pytest.mark.parametrize("name", TRAINERS)
def test_keeps_structure(name, graph, data):
    conformance.check_keeps_structure(make(name), graph, data)


@pytest.mark.parametrize("name", TRAINERS)
def test_forward_equals_reference(name, graph, data):
    conformance.check_forward_equals_reference(make(name), load("targets", "reference")(), graph, data)


@pytest.mark.parametrize("name", TRAINERS)
def test_resume(name, graph, data, tmp_path):
    conformance.check_resume(lambda epochs: make(name, epochs), graph, data, tmp_path)
