"""The whole road from Python: train, save as NIR, run on three targets, write the report.

python examples/whole_road.py [FOLDER] [EPOCHS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from nirbridge.evaluate import compare, read_config, train_config
from nirbridge.io import read_graph, write_graph
from nirbridge.io.yin_yang import yin_yang
from nirbridge.plugins import parse
from nirbridge.report.page import render

HERE = Path(__file__).parent


def main(folder: Path, epochs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = read_config(HERE / "yin_yang.toml", overrides=[f"trainer.epochs={epochs}"])
    trained = train_config(config, HERE)
    write_graph(folder / "yin-yang.nir", trained.graph)

    graph = read_graph(folder / "yin-yang.nir")
    names = ("reference", "loihi2", "loihi2:split=packed", "spinnaker2:rounding=nearest")
    report = compare(graph, [(name, parse("targets", name)) for name in names], yin_yang("test", 200))
    for result in report.results:
        first = result.versus.first_difference if result.versus else None
        print(f"{result.target:28} accuracy {result.accuracy:.3f}   first difference {first}")
    (folder / "report.html").write_text(render(report), encoding="utf-8")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("whole-road", "10")[len(sys.argv) - 1 :]]
    main(Path(arguments[0]), int(arguments[1]))
