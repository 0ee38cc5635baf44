"""Random small networks in continuous time that spike, with input, labels and a loss that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact import Connection, Engine, EventNetwork, Layer, event_network
from nirbridge_eventprop.exact.losses import LOSSES

END = 0.05
INPUTS, HIDDEN, OUTPUTS = 5, 6, 3
NAMES = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "t_ref", "alif_b", "alif_tau")


def layer(rng: np.random.Generator, n: int, *, spiking: bool, refractory: bool, adaptive: bool) -> Layer:
    """n neurons with time constants around 20 and 5 ms and every other parameter away from 0 and 1."""
    return Layer(
        spiking=spiking,
        tau_mem=rng.uniform(0.012, 0.025, n),
        tau_syn=rng.uniform(0.003, 0.008, n),
        v_th=rng.uniform(0.8, 1.1, n),
        v_reset=rng.uniform(-0.3, 0.2, n),
        v_leak=rng.uniform(-0.1, 0.1, n),
        t_ref=rng.uniform(0.5e-3, 2e-3, n) if refractory else np.zeros(n),
        alif_b=rng.uniform(0.05, 0.2, n) if adaptive else np.zeros(n),
        alif_tau=rng.uniform(0.03, 0.07, n),
    )


def network(
    rng: np.random.Generator,
    *,
    hidden: int = 1,
    recurrent: bool = True,
    delays: bool = False,
    refractory: bool = False,
    adaptive: bool = False,
    spiking_output: bool = False,
) -> EventNetwork:
    """Input, hidden layers (with feedback from each to itself and to the one below), read-out."""
    inner = {"spiking": True, "refractory": refractory, "adaptive": adaptive}
    layers = [layer(rng, HIDDEN, **inner) for _ in range(hidden)]
    layers.append(layer(rng, OUTPUTS, spiking=spiking_output, refractory=False, adaptive=False))
    sizes = [INPUTS] + [HIDDEN] * hidden + [OUTPUTS]
    pairs = [(at, at + 1) for at in range(hidden + 1)]
    if recurrent:
        pairs += [(at, at) for at in range(1, hidden + 1)] + [(at + 1, at) for at in range(1, hidden)]
    connections = []
    for pre, post in pairs:
        shape = sizes[pre], sizes[post]
        if pre >= post:
            weight = rng.normal(0.0, 0.35, shape)
        elif post == hidden + 1 and not spiking_output:
            weight = rng.normal(0.0, 0.5, shape)
        else:
            weight = rng.normal(1.1, 0.6, shape)
        delay = rng.uniform(0.3e-3, 6e-3, shape) if delays else None
        connections.append(Connection(pre=pre, post=post, weight=weight, delay=delay))
    return event_network(INPUTS, layers, connections)


def spikes(rng: np.random.Generator, samples: int = 2, events: int = 20) -> Spikes:
    """Random input, off any grid."""
    times = np.sort(rng.uniform(1e-3, 0.035, (samples, events)), axis=1).reshape(-1)
    units = rng.integers(0, INPUTS, samples * events).astype(np.int32)
    return Spikes(times, units, np.arange(samples + 1) * events, INPUTS, END)


def loss(rng: np.random.Generator, name: str) -> Any:
    """The loss of this name, with parameters in the range of the networks above."""
    options: dict[str, Any] = {
        "ttfs-xent": {"tau0": 2e-3, "tau1": 1e-2, "alpha": 1e-2},
        "ttfs-mse": {"target": rng.uniform(0.015, 0.035, (OUTPUTS, OUTPUTS)), "t_scale": 1e-2},
        "ttfs-rel-mse": {"delta": 5e-3, "t_scale": 1e-2, "rectify": bool(rng.integers(2))},
        "mse-trace": {"target": rng.normal(0.0, 0.3, (20, OUTPUTS))},
    }.get(name, {})
    return LOSSES[name](**options)


@dataclass(frozen=True)
class Parameters:
    """All parameters of a network as one list of arrays, by name."""

    network: EventNetwork

    def arrays(self) -> dict[str, np.ndarray]:
        found = {}
        for c, connection in enumerate(self.network.connections):
            found[f"w_{c}"] = connection.weight
            if connection.delay is not None:
                found[f"delay_{c}"] = connection.delay
        for at, item in enumerate(self.network.layers):
            names = NAMES if item.spiking else ("tau_mem", "tau_syn", "v_leak")
            found.update({f"{name}_{at}": getattr(item, name) for name in names})
        return {name: value for name, value in found.items() if value.any()}

    def moved(self, name: str, by: np.ndarray) -> EventNetwork:
        """The network with this parameter moved."""
        what, _, number = name.rpartition("_")
        layers, connections = list(self.network.layers), list(self.network.connections)
        at = int(number)
        if what in ("w", "delay"):
            c = connections[at]
            weight, delay = (c.weight + by, c.delay) if what == "w" else (c.weight, c.delay + by)
            connections[at] = Connection(pre=c.pre, post=c.post, weight=weight, delay=delay)
        else:
            values = {f: getattr(layers[at], f) for f in Layer.__dataclass_fields__}
            layers[at] = Layer(**{**values, what: values[what] + by})
        return event_network(self.network.n_inputs, layers, connections)


def gradient_of(gradients: Any, name: str) -> np.ndarray:
    """The gradient of one parameter of `Parameters`."""
    what, _, number = name.rpartition("_")
    if what in ("w", "delay"):
        return (gradients.weight if what == "w" else gradients.delay)[int(number)]
    return gradients.layer[int(number)][what]


def value_of(net: EventNetwork, fit: Any, data: Spikes, labels: np.ndarray, **options: float) -> Any:
    """(mean loss, counts) without gradients."""
    engine = Engine(net, fit, **options)
    result = engine.run(data, labels, learn=False)
    engine.close()
    return result.loss.mean(), result.counts
