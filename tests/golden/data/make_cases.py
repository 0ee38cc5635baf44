"""Writes the golden cases of this repository, in the formats of the golden folders of each family.

Run it as ``python make_cases.py [FOLDER]``; FOLDER defaults to the one that holds this file. Expected
values come from plain loops written from the published equations, with nothing of nirbridge imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from eventprop_cases import eventprop_cases
from loihi2_cases import loihi2_cases
from nir_cases import nir_cases
from spinnaker2_cases import spinnaker2_cases
from spinnaker2_training import training_cases


def write(folder: Path, cases: dict[str, dict[str, Any]]) -> None:
    """One compressed .npz per case; text becomes a 0-d array of characters."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in cases.items():
        np.savez_compressed(folder / f"{name}.npz", **case)


def main(folder: Path) -> None:
    write(folder / "eventprop", eventprop_cases())
    write(folder / "loihi2", loihi2_cases())
    write(folder / "nir", nir_cases(folder / "nir"))
    write(folder / "spinnaker2", {**spinnaker2_cases(), **training_cases()})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
