"""What the trainer refuses before it starts, and how it says so."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, DoesNotFit, FindingWarning, Unsupported, UsageError
from nirbridge.graph import make
from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.graph.stack import layered
from nirbridge.io.yin_yang import yin_yang_steps
from nirbridge.passes.strict_threshold import StrictThreshold
from nirbridge.passes.to_exact import ToExact
from nirbridge.semantics import Semantics, semantics_of, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import ChipEventProp


def start(inputs=5, hidden=(8,), outputs=3, recurrent=False, **semantics):
    graph = spiking_stack(
        inputs=inputs, hidden=hidden, outputs=outputs, dt=1e-3, rng=np.random.default_rng(0),
        recurrent=recurrent,
    )  # fmt: skip
    return with_semantics(graph, Semantics(**{"dt": 1e-3, "decay": "exact", **semantics}))


def rewired(change, **options):
    graph = start(**options)
    nodes, edges = dict(graph.nodes), [tuple(edge) for edge in graph.edges]
    edges = change(nodes, edges) or edges
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, decay="exact"))


def fit(graph, data=None, **options):
    data = yin_yang_steps("train", 40, 27) if data is None else data
    trainer = ChipEventProp(**{"epochs": 1, "batch": 5, **options})
    return trainer.fit(graph, data, rng=np.random.default_rng(0))


def field(name, value, node="hidden1"):
    def change(nodes, edges):
        given = getattr(nodes[node], name)
        setattr(nodes[node], name, np.full_like(given, value))

    return change


def one_of(name, value):
    def change(nodes, edges):
        getattr(nodes["hidden1"], name)[2] = value

    return change


def lif(nodes, edges):
    one = np.ones(8)
    nodes["hidden1"] = nir.LIF(tau=0.02 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def membrane_read_out(nodes, edges):
    one = np.ones(3)
    nodes["out"] = nir.CubaLI(tau_mem=0.02 * one, tau_syn=0.005 * one, r=one, v_leak=0 * one, w_in=one)


def delay(nodes, edges):
    nodes["late"] = nir.Delay(np.full(8, 2e-3))
    return [edge for edge in edges if edge != ("hidden1", "w_out")] + [("hidden1", "late"), ("late", "w_out")]


def bias(nodes, edges):
    nodes["w1"] = nir.Affine(weight=nodes["w1"].weight, bias=np.full(8, 0.1))


def skip(nodes, edges):
    nodes["direct"] = nir.Linear(np.ones((3, 5)))
    return [*edges, ("input", "direct"), ("direct", "out")]


def feedback(nodes, edges):
    nodes["back"] = nir.Linear(np.ones((8, 3)))
    return [*edges, ("out", "back"), ("back", "hidden1")]


def other_synapse(nodes, edges):
    nodes["out"].tau_syn = np.full(3, 0.004, np.float32)
    nodes["out"].w_in = np.full(3, 1 / -np.expm1(-1e-3 / 0.004), np.float32)


def two_outputs(nodes, edges):
    nodes["second"] = nir.Output(np.array([8]))
    return [*edges, ("hidden1", "second")]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lif, "NB201", r"'hidden1' \(LIF\)"),
        (membrane_read_out, "NB201", r"'out' \(CubaLI\)"),
        (delay, "NB208", r"'late' \(Delay\)"),
        (bias, "NB207", r"'w1' \(Affine\) has a bias"),
        (skip, "NB211", "'direct' connects 'input' to 'out'"),
        (feedback, "NB211", "'back' connects 'out' to 'hidden1'"),
        (two_outputs, "NB202", "one Input and one Output"),
        (field("r", 2.0), "NB205", "needs r = 1, got 2 at 8 of 8"),
        (field("w_in", 1.0), "NB205", r"needs w_in = 5\.51666, got 1"),
        (field("v_leak", 0.1), "NB203", "needs v_leak = 0"),
        (field("v_reset", -0.1), "NB204", "needs v_reset = 0"),
        (one_of("tau_mem", 0.03), "NB206", "tau_mem differs between its neurons"),
        (one_of("v_threshold", 0.8), "NB206", "v_threshold differs"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_graphs_of_another_form(change, code, said):
    with pytest.raises(Unsupported, match=said) as caught:
        fit(rewired(change))
    assert caught.value.code == code
    assert caught.value.fix


def test_a_read_out_of_another_trainer():
    graph = layered(inputs=5, hidden=[8], outputs=3, dt=1e-3, rng=np.random.default_rng(0))
    with pytest.raises(Unsupported, match=r"'out' \(CubaLI\)|needs r = 1"):
        fit(with_semantics(graph, Semantics(dt=1e-3, decay="exact")))


@pytest.mark.parametrize(
    "semantics", [{"decay": "euler"}, {"reset": "subtract"}, {"compare": ">="}], ids=lambda s: next(iter(s))
)
def test_other_steps(semantics):
    with pytest.raises(Unsupported, match=next(iter(semantics))) as caught:
        fit(start(**semantics))
    assert caught.value.code == "NB210"
    helps = {"decay": ToExact(), "compare": StrictThreshold()}.get(next(iter(semantics)))
    if helps is not None:
        assert str(caught.value.fix).endswith(f"--pass {helps.name}")
        after = semantics_of(helps(start(**semantics)))
        assert (after.decay, after.compare) == ("exact", ">")


def test_a_read_out_with_too_few_neurons():
    with pytest.raises(BadInput, match="labels go up to 2, the graph has 2 outputs"):
        fit(start(outputs=2))


def test_unscaled_with_two_time_constants():
    with pytest.raises(Unsupported, match=r"unscaled needs one tau_syn, got 0\.005 s, 0\.004 s"):
        fit(rewired(other_synapse), unscaled=True)
    fit(rewired(other_synapse))


def test_more_channels_than_inputs():
    with pytest.raises(BadInput, match="5 units, the graph's input has 4") as caught:
        fit(start(inputs=4))
    assert caught.value.code == "NB501"


def test_no_labels():
    data = Dataset(yin_yang_steps("train", 40, 27).spikes)
    with pytest.raises(BadInput, match="no labels"):
        fit(start(), data)


def test_graded_spikes():
    plain = yin_yang_steps("train", 40, 27)
    s = plain.spikes
    graded = Spikes(s.times, s.units, s.offsets, 5, s.duration, np.ones(len(s.units), np.int32))
    with pytest.raises(BadInput, match="graded"):
        fit(start(), plain.with_spikes(graded))


def test_fewer_samples_than_a_batch():
    with pytest.raises(UsageError, match=r"a batch of 5 samples, but .* has 4"):
        fit(start(), yin_yang_steps("train", 4, 27))


def test_a_batch_beyond_the_chip():
    with pytest.raises(DoesNotFit, match=r"batch 37 needs 149 PEs .* 148") as caught:
        fit(start(), batch=37)
    assert "batch=36" in caught.value.fix
    assert not caught.value.placement.fits
    with pytest.warns(FindingWarning, match="the update takes"):
        fit(start(hidden=(120,)), batch=36)
    fit(start(), batch=37, device="host")
    fit(start(), batch=37, chips=2)


def test_a_layer_beyond_its_pe():
    """8·n·m + 16·n + 4·T·n + 4·T·(⌈n/32⌉+⌈m/32⌉) bytes, T = 30 for 27 steps: 700 → 15 fits, 700 → 16 not."""
    channels = Spikes(np.zeros(40), np.zeros(40, np.int32), np.arange(41), 700, 27e-3)
    data = Dataset(channels, np.zeros(40, np.int64), ("a", "b", "c"))
    with pytest.warns(FindingWarning, match="the update takes"):
        fit(start(inputs=700, hidden=(15,)), data)
    need = 8 * 16 * 700 + 16 * 16 + 4 * 30 * 16 + 4 * 30 * (1 + 22)
    with pytest.raises(DoesNotFit, match=rf"'hidden1'.*{need:,} B") as caught:
        fit(start(inputs=700, hidden=(16,)), data)
    assert "15 neurons" in caught.value.fix
    fit(start(inputs=700, hidden=(16,)), data, device="host")


def test_a_recurrent_layer_counts_its_own_neurons_as_sources():
    fit(start(hidden=(90,)))
    with pytest.raises(DoesNotFit, match="'hidden1'"):
        fit(start(hidden=(105,), recurrent=True))


def test_an_optimiser_beyond_its_pe():
    """70·70 parameters of 16 B and those before and after them: more than one PE holds."""
    graph = start(hidden=(70, 70))
    with pytest.warns(FindingWarning, match="the update takes"):
        fit(graph)
    with pytest.raises(DoesNotFit, match="optimiser needs") as caught:
        fit(start(hidden=(76, 76)), optimiser_pes=1)
    assert "optimiser_pes=2" in caught.value.fix


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "s1.30"}, "format is s1.30"),
        ({"rounding": "up"}, "rounding is up"),
        ({"device": "gpu"}, "device is gpu"),
        ({"batch": 0}, "batch is 0"),
        ({"xi": 0.0}, "xi is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"beta1": 1.0}, "beta1 is 1.0"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"threads": -1}, "threads is -1"),
    ],
    ids=str,
)
def test_options_out_of_range(options, said):
    with pytest.raises(UsageError, match=said) as caught:
        ChipEventProp(**options)
    assert caught.value.code == "NB701"
