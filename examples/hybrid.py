"""Hybrid training for SpiNNaker2 in one NIR file: pre-train off chip, fine-tune on chip, deploy.

python examples/hybrid.py [FOLDER] [EPOCHS] [SAMPLES]
"""

from __future__ import annotations

import sys
from pathlib import Path

from nirbridge.evaluate import compare, read_config, train_config
from nirbridge.graph import read_metadata
from nirbridge.io import read_graph, write_graph
from nirbridge.io.yin_yang import yin_yang_steps
from nirbridge.plugins import parse

HERE = Path(__file__).parent
CONFIG = HERE / "yin_yang_spinnaker2.toml"


def main(folder: Path, epochs: int, samples: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "yin-yang.nir"

    # Off chip nothing limits the batch; the equations are those of the chip. A larger alpha_r keeps
    # outputs from falling silent.
    off_chip = read_config(
        CONFIG,
        overrides=[
            "trainer.device=host",
            "trainer.batch=100",
            "trainer.lr=4e-3",
            "trainer.gamma=0.8",
            "trainer.alpha_r=0.5",
            f"trainer.epochs={epochs}",
            f"data.train=yin-yang:train:{samples}:27",
        ],
    )
    write_graph(file, train_config(off_chip, HERE).graph)

    # One epoch on chip, from the same file. It carries weights only: Adam starts anew.
    on_chip = read_config(
        CONFIG,
        overrides=[
            f"graph.file={file}",
            "trainer.lr=2e-4",
            "trainer.epochs=1",
            f"data.train=yin-yang:train:{min(samples, 5000)}:27",
        ],
    )
    trained = train_config(on_chip, HERE)
    write_graph(file, trained.graph)
    chip = (read_metadata(trained.graph).training or {})["chip"]
    print(
        f"on chip: {chip['pes']} PEs, {chip['update_ms']:.0f} ms and {chip['update_mj']:.1f} mJ an update, "
        f"{chip['training_s']:.1f} s, {chip['training_j']:.2f} J in all (assumed)"
    )

    names = ("reference", "spinnaker2", "spinnaker2:rounding=nearest")
    targets = [(name, parse("targets", name)) for name in names]
    report = compare(read_graph(file), targets, yin_yang_steps("test", 1000, 27))
    for result in report.results:
        print(f"{result.target:28} accuracy {result.accuracy:.3f}")


if __name__ == "__main__":
    given = [*sys.argv[1:], *("hybrid", "12", "60000")[len(sys.argv) - 1 :]]
    main(Path(given[0]), int(given[1]), int(given[2]))
