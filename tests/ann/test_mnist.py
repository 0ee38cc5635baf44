"""An MLP trained on real images, written as ONNX, loses at most a point as a spiking graph."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge.ann import RateCoding, rate_code
from nirbridge.data import Images
from nirbridge.evaluate.ann import evaluate_rate_coding
from nirbridge.io.images import read_images
from nirbridge.io.onnx_in import read_ann

sys.path.insert(0, str(Path(__file__).parent))
from onnx_anns import expected, save

DATA = Path(os.environ.get("NIRBRIDGE_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
EPOCHS, BATCH, RATE, MOMENTUM = 4, 100, 0.1, 0.9


def train(images: Images, hidden: int, rng: np.random.Generator) -> dict[str, Any]:
    """Weights of 784-hidden-10 by gradient descent with momentum on the cross-entropy."""
    x, labels = images.values().reshape(len(images), -1), images.labels
    assert labels is not None
    weights = {
        "w0": rng.normal(0, np.sqrt(2 / 784), (784, hidden)).astype(np.float32),
        "b0": np.zeros(hidden, np.float32),
        "w1": rng.normal(0, np.sqrt(2 / hidden), (hidden, 10)).astype(np.float32),
        "b1": np.zeros(10, np.float32),
    }
    speed = {name: np.zeros_like(value) for name, value in weights.items()}
    for epoch in range(EPOCHS):
        rate = RATE * (1 - epoch / EPOCHS)
        for part in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            h = np.maximum(x[part] @ weights["w0"] + weights["b0"], 0)
            scores = h @ weights["w1"] + weights["b1"]
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            d = (p / p.sum(axis=1, keepdims=True) - np.eye(10, dtype=np.float32)[labels[part]]) / len(part)
            dh = (d @ weights["w1"].T) * (h > 0)
            slope = {"w0": x[part].T @ dh, "b0": dh.sum(0), "w1": h.T @ d, "b1": d.sum(0)}
            for name, value in slope.items():
                speed[name] = MOMENTUM * speed[name] - rate * value
                weights[name] = weights[name] + speed[name]
    return weights


@pytest.mark.slow
def test_a_trained_mlp_loses_at_most_a_point_at_128_steps(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    if not (DATA / "mnist_train.npz").is_file():
        pytest.skip("no mnist_train.npz in the folder that NIRBRIDGE_DATA names")
    training = read_images(DATA / "mnist_train.npz")
    test = read_images(DATA / "mnist_test_even.npz").head(1000)
    weights = train(training.head(30000), 100, np.random.default_rng(0))
    nodes = [
        ("Flatten", ["x"], "f", {}),
        ("MatMul", ["f", "w0"], "m0", {}),
        ("Add", ["m0", "b0"], "a0", {}),
        ("Relu", ["a0"], "r0", {}),
        ("MatMul", ["r0", "w1"], "m1", {}),
        ("Add", ["m1", "b1"], "y", {}),
    ]
    path = save(tmp_path / "mnist.onnx", nodes, weights, (1, 28, 28))
    own = expected(path, test.values()[:, None]).argmax(axis=1) == test.labels
    ann = read_ann(path)
    for coding in ("current", "rate"):
        coded = rate_code(ann, training, RateCoding(coding=coding))
        found = evaluate_rate_coding(ann, coded, test)
        assert found.ann_accuracy == own.mean() >= 0.95
        last = found.curve[-1]
        assert last.steps == 128
        assert last.lost is not None and last.lost <= 0.01
