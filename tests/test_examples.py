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
