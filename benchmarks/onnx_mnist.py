"""An MLP and a small CNN trained on MNIST, written as ONNX, converted to spiking graphs and measured.

Run: python benchmarks/onnx_mnist.py ../shared/data   (needs the extra `bench`)
The CNNs have Conv, BatchNormalization, Relu, and AveragePool or MaxPool. Calibration takes the first
512 training images; accuracy is that on mnist_test_even.npz, which neither training nor calibration
sees. Writes results/onnx_mnist.json; the trained models stay in the folder that --models names.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from nirbridge.ann import RateCoding, rate_code
from nirbridge.evaluate.ann import evaluate_rate_coding
from nirbridge.io.images import read_images
from nirbridge.io.onnx_in import read_ann

RESULT = Path(__file__).parent / "results" / "onnx_mnist.json"


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def cnn(pool: type[nn.Module]) -> nn.Sequential:
    def block(channels: int, out: int) -> list[nn.Module]:
        return [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), pool(2)]

    return nn.Sequential(*block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(784, 10))


def train(model: nn.Sequential, x: torch.Tensor, y: torch.Tensor, epochs: int) -> float:
    """Adam, batches of 128; returns the seconds it took."""
    began = time.perf_counter()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
        schedule.step()
    model.eval()
    return time.perf_counter() - began


def export(model: nn.Sequential, path: Path) -> None:
    """The layers as ONNX nodes, normalisations not folded."""
    nodes, tensors, value = [], [], "x"
    for at, layer in enumerate(model):
        names = []
        for key, tensor in layer.state_dict().items():
            if key != "num_batches_tracked":
                names.append(f"{at}.{key}")
                tensors.append(numpy_helper.from_array(tensor.numpy(), names[-1]))
        op, options = {
            nn.Flatten: ("Flatten", {}),
            nn.Linear: ("Gemm", {"transB": 1}),
            nn.ReLU: ("Relu", {}),
            nn.Conv2d: ("Conv", {"pads": [1, 1, 1, 1]}),
            nn.BatchNorm2d: ("BatchNormalization", {}),
            nn.AvgPool2d: ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            nn.MaxPool2d: ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        }[type(layer)]
        nodes.append(helper.make_node(op, [value, *names], [f"v{at}"], name=f"{op.lower()}{at}", **options))
        value = f"v{at}"
    graph = helper.make_graph(
        nodes,
        "mnist",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["n", 10])],
        tensors,
    )
    model_proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model_proto)
    onnx.save(model_proto, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with mnist_train.npz and mnist_test_even.npz")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train-samples", type=int, default=None, help="only the first training images")
    parser.add_argument("--models", type=Path, default=None, help="keep models here, and take them from here")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--samples", type=int, default=None, help="only the first test images")
    parser.add_argument("--networks", default="mlp,mlp-rate,cnn-average,cnn-max,cnn-max-averaged")
    options = parser.parse_args()
    training = read_images(options.data / "mnist_train.npz")
    test = read_images(options.data / "mnist_test_even.npz").head(options.samples)
    learned = training.head(options.train_samples)
    x = torch.from_numpy(learned.values()[:, None])
    y = torch.from_numpy(learned.labels)
    torch.manual_seed(0)
    torch.set_num_threads(2)
    makers = {"mlp": mlp, "cnn-average": lambda: cnn(nn.AvgPool2d), "cnn-max": lambda: cnn(nn.MaxPool2d)}
    cases = {
        "mlp": ("mlp", RateCoding(steps=options.steps)),
        "mlp-rate": ("mlp", RateCoding(steps=options.steps, coding="rate")),
        "cnn-average": ("cnn-average", RateCoding(steps=options.steps)),
        "cnn-max": ("cnn-max", RateCoding(steps=options.steps)),
        "cnn-max-averaged": ("cnn-max", RateCoding(steps=options.steps, max_pool="average")),
    }
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.models or Path(temporary)
        for case in options.networks.split(","):
            name, coding = cases[case]
            path = folder / f"{name}.onnx"
            if not path.is_file():
                model = makers[name]()
                print(name, f"trained in {train(model, x, y, options.epochs):.0f} s", flush=True)
                export(model, path)
            ann = read_ann(path)
            coded = rate_code(ann, training, coding)
            found = evaluate_rate_coding(ann, coded, test)
            results[case] = {
                "test": "mnist_test_even.npz",
                "train_samples": len(learned),
                "epochs": options.epochs,
                "coding": coding.coding,
                "max_pool": coding.max_pool,
                "percentile": coding.percentile,
                "calibration_samples": coded.samples,
                "scales": {layer: a.scale for layer, a in coded.activations.items()},
                **found.as_dict(),
            }
            RESULT.write_text(json.dumps(results, indent=2) + "\n")
            print(case, f"ANN {found.ann_accuracy:.4f}", f"{found.seconds:.0f} s")
            for row in found.curve:
                print(
                    f"  {row.steps:4d} steps {row.accuracy:.4f} lost {100 * row.lost:+.2f} points", flush=True
                )


if __name__ == "__main__":
    main()
