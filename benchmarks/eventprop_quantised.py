"""Spoken digits on Loihi 2 in int8 and int4, trained for it or only rounded, against float, paired.

    python benchmarks/eventprop_quantised.py --data ../shared/data [--seeds 1 2 3] [--networks DIR] [--json F]

For each seed: the float network of examples/spoken_digits_delay.toml, run by `reference`; that network
rounded (`quantize-weights`) and run by `loihi2`; and the one that examples/spoken_digits_loihi2_int8.toml or
_int4.toml makes of it, run by `loihi2`. Networks that lie in the folder already are taken as they are, so
that a run can be broken off; their training times come from the .run.json files beside them, and what each
got right is kept there too. Every change is over the same 410 samples: fsdd_valid (speakers that were heard
in training) and fsdd_test_george (one that was not).
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.evaluate import run
from nirbridge.graph import digest
from nirbridge.io import read_graph
from nirbridge.io.datasets import read_dataset
from nirbridge.passes import FoldDelays, Pipeline, QuantizeWeights, RescaleLif, RoundDelays
from nirbridge.protocols import Target
from nirbridge_loihi2 import Loihi2
from nirbridge_reference import Reference

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = {"valid": "fsdd_valid.h5.gz", "unseen": "fsdd_test_george.h5.gz"}
ALLOWED = {8: 0.5, 4: 2.0}  # points below float
SCHEMES = {8: ("mse",), 4: ("mse", "percentile")}  # of rounding without training


def trained(
    config: str, out: Path, seed: int, options: argparse.Namespace, start: Path | None = None
) -> Path:
    """The network in ``out``, trained if it is not there."""
    if not out.is_file():
        settings = [
            f"data.train={options.data / 'fsdd_train.h5.gz'}",
            f"data.valid={options.data / FILES['valid']}",
        ]
        settings += [f"trainer.threads={options.threads}"]
        settings += [] if start is None else [f"graph.file={start}"]
        command = [sys.executable, "-m", "nirbridge", "train", str(EXAMPLES / config), "-o", str(out)]
        command += ["--seed", str(seed), *(part for item in settings for part in ("--set", item))]
        print("$", " ".join(command[1:]), flush=True)
        subprocess.run(command, check=True)
    return out


def seconds(network: Path) -> float | None:
    """Seconds by the clock that the training took."""
    record = network.with_name(f"{network.name}.run.json")
    return float(json.loads(record.read_text())["train_seconds"]) if record.is_file() else None


def right(
    graph: nir.NIRGraph, target: Target, data: dict[str, Dataset], folder: Path
) -> dict[str, NDArray[np.bool_]]:
    """Which samples of each data set the network gets right on a target, kept in the folder by its digest."""
    path = folder / f"{digest(graph)[:16]}.{target.name}.npz"
    if not path.is_file():
        found = {name: run(graph, target, item).predictions == item.labels for name, item in data.items()}
        np.savez(path, **found)
    with np.load(path) as kept:
        return {name: kept[name] for name in data}


def rounded(graph: nir.NIRGraph, bits: int, scheme: Any) -> nir.NIRGraph:
    """What ``convert --pass rescale-lif --pass quantize-weights:bits=… --for loihi2`` makes of it."""
    passes = (RoundDelays(), FoldDelays(), RescaleLif(), QuantizeWeights(bits=bits, scheme=scheme))
    return legal(Pipeline(passes)(graph))


def legal(graph: nir.NIRGraph) -> nir.NIRGraph:
    return Pipeline(tuple(Loihi2().passes(graph)))(graph)


def paired(found: dict[str, NDArray[np.bool_]], held: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """Accuracies and McNemar's counts against the float network, over all samples."""
    a, b = np.concatenate(list(held.values())), np.concatenate(list(found.values()))
    lost, won = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    return {
        **{name: float(values.mean()) for name, values in found.items()},
        "all": float(b.mean()),
        "samples": len(b),
        "lost": lost,
        "won": won,
        "points": 100 * (won - lost) / len(b),
    }


def rows_of(seed: int, data: dict[str, Dataset], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Float, rounded and fine-tuned networks of one seed."""
    folder = options.networks
    start = trained("spoken_digits_delay.toml", folder / f"float_{seed}.nir", seed, options)
    graph = read_graph(start)
    held = right(graph, Reference(threads=options.threads), data, folder)
    chip = Loihi2(split="packed", threads=options.threads)
    found = [
        {"seed": seed, "bits": 32, "how": "float", "train_seconds": seconds(start), **paired(held, held)}
    ]
    show(found[-1])
    for bits in options.bits:
        for scheme in SCHEMES[bits]:
            values = right(rounded(graph, bits, scheme), chip, data, folder)
            found.append({"seed": seed, "bits": bits, "how": f"rounded, {scheme}", **paired(values, held)})
            show(found[-1])
        config = f"spoken_digits_loihi2_int{bits}.toml"
        tuned = trained(config, folder / f"int{bits}_{seed}.nir", seed, options, start.resolve())
        values = right(legal(read_graph(tuned)), chip, data, folder)
        own = {"seed": seed, "bits": bits, "how": "trained", "train_seconds": seconds(tuned)}
        found.append({**own, **paired(values, held)})
        show(found[-1])
    return found


def show(row: dict[str, Any]) -> None:
    """One line of the table."""
    took = row.get("train_seconds")
    name = f"{row['seed']:4} {row['bits']:4}  {row['how']:20}"
    accuracy = f"{row['valid']:.3f}  {row['unseen']:.3f}  {row['all']:.4f}"
    change = f"{row['lost']:4} {row['won']:4}  {row['points']:+6.2f}"
    print(f"{name} {accuracy}  {change}  {'' if took is None else f'{took:.0f} s'}", flush=True)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean over seeds of the change against float, for every kind of network, and the sums of the counts."""
    result: dict[str, Any] = {}
    for bits, how in dict.fromkeys((row["bits"], row["how"]) for row in rows if row["bits"] != 32):
        mine = [row for row in rows if (row["bits"], row["how"]) == (bits, how)]
        points = [row["points"] for row in mine]
        result[f"int{bits}, {how}"] = {
            "points_mean": float(np.mean(points)),
            "points_worst": min(points),
            "lost": sum(row["lost"] for row in mine),
            "won": sum(row["won"] for row in mine),
            "samples": sum(row["samples"] for row in mine),
            "allowed": -ALLOWED[bits],
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the fsdd files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4], choices=[8, 4])
    parser.add_argument(
        "--networks", type=Path, default=Path("quantised"), help="where the networks are kept"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.networks.mkdir(parents=True, exist_ok=True)
    options.data = options.data.resolve()
    data = {name: read_dataset(options.data / file, n_units=700) for name, file in FILES.items()}
    print("seed bits  weights              valid  unseen all     lost  won  points  training")
    rows = [row for seed in options.seeds for row in rows_of(seed, data, options)]
    found = summary(rows)
    for name, values in found.items():
        print(
            f"{name:22} mean {values['points_mean']:+.2f} points, worst seed {values['points_worst']:+.2f} "
            f"(lost {values['lost']}, won {values['won']} of {values['samples']}; "
            f"goal {values['allowed']:+.1f} or better)"
        )
    if options.json is not None:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
        result = {
            "python": platform.python_version(),
            "versions": versions,
            "train_seconds": "by the clock, of a machine that had other work",
            "rows": rows,
            "summary": found,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
