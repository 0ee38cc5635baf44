"""Every example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_the_whole_road_from_python(tmp_path):
    command = [sys.executable, str(EXAMPLES / "whole_road.py"), str(tmp_path / "road"), "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy") == 4
    assert (tmp_path / "road" / "report.html").stat().st_size < 1_000_000


def test_hybrid_training_for_spinnaker2(tmp_path):
    """Off chip, on chip and on the targets, all from one NIR file."""
    command = [sys.executable, str(EXAMPLES / "hybrid.py"), str(tmp_path / "hybrid"), "2", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "on chip: 89 PEs, 61 ms" in done.stdout
    assert done.stdout.count("accuracy") == 3
    assert [path.name for path in (tmp_path / "hybrid").iterdir()] == ["yin-yang.nir"]
