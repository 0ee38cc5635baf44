"""Convolutions against a plain statement, and spikes that no placement changes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nirbridge.spikes import Spikes
from nirbridge_loihi2.convolution import Window, operations, stored_synapses
from nirbridge_loihi2.kernels import MESSAGES
from nirbridge_loihi2.layers import INPUT, Connection, IntegerNetwork, Layer, filled
from nirbridge_loihi2.partition import demands, partition
from nirbridge_loihi2.simulate import Outcome, events, simulate
from nirbridge_loihi2.tables import tables


def layer(name: str, shape: tuple[int, ...], threshold: int) -> Layer:
    n = int(np.prod(shape))
    return Layer(
        name=name,
        shape=shape,
        decay_u=filled(900, n),
        decay_v=filled(200, n),
        threshold=filled(threshold, n),
        bias=filled(0, n),
    )


def dense(weight: np.ndarray, window: Window) -> np.ndarray:
    """The convolution as a matrix (O·Ho·Wo, C·H·W), straight from its definition."""
    (c, h, w), (out, h_out, w_out) = window.source, window.target
    matrix = np.zeros((out, h_out, w_out, c, h, w), np.int64)
    per_in, per_out = c // window.groups, out // window.groups
    for o, r, q, k in product(range(out), range(h_out), range(w_out), range(per_in)):
        for a, b in product(range(window.kernel[0]), range(window.kernel[1])):
            i = r * window.stride[0] - window.padding[0] + a * window.dilation[0]
            j = q * window.stride[1] - window.padding[1] + b * window.dilation[1]
            if 0 <= i < h and 0 <= j < w:
                matrix[o, r, q, o // per_out * per_in + k, i, j] = weight[o, k, a, b]
    return matrix.reshape(out * h_out * w_out, c * h * w)


def random_window(rng: np.random.Generator) -> tuple[np.ndarray, Window]:
    groups = int(rng.integers(1, 3))
    k = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    weight = rng.integers(-40, 60, (2 * groups, 2, *k)) * (rng.random((2 * groups, 2, *k)) < 0.8)

    def pair(low: int, high: int) -> tuple[int, int]:
        return int(rng.integers(low, high)), int(rng.integers(low, high))

    source = (2 * groups, int(rng.integers(6, 9)), int(rng.integers(6, 12)))
    window = Window.over(
        source, weight, stride=pair(1, 3), padding=pair(0, 3), dilation=pair(1, 3), groups=groups
    )
    return weight, window


def inputs(n: int, steps: int, seed: int, rate: float = 0.15) -> Spikes:
    grid = np.random.default_rng(seed).random((1, steps, n)) < rate
    return Spikes.from_dense(grid.astype(int), 1.0)


def run(network: IntegerNetwork, spikes: Spikes, per_core: list[int] | None = None) -> Outcome:
    every = range(len(network.layers))
    traces = [(k, state) for k in every for state in ("u", "v")]
    (found,) = simulate(
        tables(network, per_core), events(spikes, 1.0), 60, keep=every, traces=traces, activity=True
    )
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_convolution_is_its_matrix(seed: int) -> None:
    """The same states, spikes and counts as the dense matrix that it stands for."""
    rng = np.random.default_rng(seed)
    weight, window = random_window(rng)
    matrix = dense(weight, window)
    assert stored_synapses(weight, window) == np.count_nonzero(matrix)
    found = []
    for w, at in ((weight, window), (matrix, None)):
        c = Connection(name="w", source=INPUT, target=0, weight=w, window=at)
        one = IntegerNetwork(
            n_inputs=matrix.shape[1], layers=(layer("conv", window.target, 60),), connections=(c,)
        )
        found.append(run(one, inputs(matrix.shape[1], 60, seed)))
    a, b = found
    assert len(a.step) > 0
    np.testing.assert_array_equal(a.neuron, b.neuron)
    np.testing.assert_array_equal(a.step, b.step)
    for key in a.traces:
        np.testing.assert_array_equal(a.traces[key], b.traces[key])
    np.testing.assert_array_equal(a.counts[:, :MESSAGES], b.counts[:, :MESSAGES])


def test_operations_on_cores_count_dummy_columns() -> None:
    weight, window = random_window(np.random.default_rng(3))
    width = window.target[2]
    real = operations(weight, window, width, 1)[:, 0]
    np.testing.assert_array_equal(real, np.count_nonzero(dense(weight, window), axis=0))
    single = operations(weight, window, 1, width)
    np.testing.assert_array_equal(single.sum(axis=1), real)
    wide = operations(weight, window, 2 * width, 1)[:, 0]
    assert np.all(wide >= real)


@pytest.mark.parametrize("cores", [1, 7, 40])
def test_spikes_do_not_depend_on_the_placement(cores: int) -> None:
    """A convolution, a recurrent layer with delays and a dense one, on 1, 7 and 40 cores a layer."""
    rng = np.random.default_rng(5)
    kernel = rng.integers(-30, 60, (3, 2, 3, 3))
    window = Window.over((2, 8, 42), kernel)
    n = int(np.prod(window.target))
    network = IntegerNetwork(
        n_inputs=2 * 8 * 42,
        layers=(layer("conv", window.target, 300), layer("rec", (80,), 900), layer("out", (40,), 200)),
        connections=(
            Connection(name="a", source=INPUT, target=0, weight=kernel, window=window),
            Connection(name="b", source=0, target=1, weight=rng.integers(-9, 12, (80, n))),
            Connection(
                name="c",
                source=1,
                target=1,
                weight=rng.integers(-40, 40, (80, 80)),
                delay=rng.integers(0, 20, (80, 80)),
            ),
            Connection(name="d", source=1, target=2, weight=rng.integers(-40, 40, (40, 80))),
        ),
    )
    spikes = inputs(network.n_inputs, 60, 1)
    whole = run(network, spikes)
    assert np.all(whole.counts[:, 0] > 0)
    channels, height, width = window.target
    per_core = [channels * height * -(-width // cores), -(-80 // cores), -(-40 // cores)]
    split = run(network, spikes, per_core)
    for name in ("step", "neuron", "value"):
        np.testing.assert_array_equal(getattr(split, name), getattr(whole, name))
    for key in whole.traces:
        np.testing.assert_array_equal(split.traces[key], whole.traces[key])
    np.testing.assert_array_equal(split.counts[:, :MESSAGES], whole.counts[:, :MESSAGES])


@pytest.mark.parametrize("most", [4095, 64, 5])
def test_a_cap_on_neurons_a_core_is_kept(most: int) -> None:
    c = Connection(name="a", source=INPUT, target=0, weight=np.ones((300, 20), int))
    network = IntegerNetwork(n_inputs=20, layers=(layer("a", (300,), 9),), connections=(c,))
    (part,) = (partition(d, "packed", most) for d in demands(network))
    assert part.per_core <= most
    assert part.cores == -(-300 // part.per_core)
    assert sum(part.neurons(k) for k in range(part.cores)) == 300


def test_windows_that_do_not_agree() -> None:
    for source, weight, options in (
        ((3, 8, 8), np.ones((4, 2, 3, 3), int), {}),
        ((4, 8, 8), np.ones((3, 2, 3, 3), int), {"groups": 2}),
        ((2, 2, 8), np.ones((4, 2, 3, 3), int), {}),
        ((2, 8, 8), np.ones((4, 2, 3, 3), int), {"stride": (0, 1)}),
        ((2, 8, 8), np.ones((4, 2, 3), int), {}),
    ):
        with pytest.raises(ValueError, match=r"kernel|stride"):
            Window.over(source, weight, **options)  # type: ignore[arg-type]
