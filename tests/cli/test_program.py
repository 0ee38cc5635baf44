"""The program as a shell sees it: a process with streams and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (
    *("demo", "train", "inspect", "check", "convert", "map", "run"),
    *("compare", "report", "data", "plugins", "doctor"),
)


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nirbridge", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_is_fast_and_names_every_command() -> None:
    program("--help")
    started = time.perf_counter()
    done = program("--help")
    seconds = time.perf_counter() - started
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert seconds < 1.0  # 0.3 s on a quiet machine


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom nirbridge.cli import main\nmain(['--help'])\n"
        "heavy = {'numpy', 'numba', 'nir', 'onnx', 'h5py', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_command_the_help_is_shown() -> None:
    done = program()
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_failure_is_an_error_on_stderr(tmp_path: Path) -> None:
    done = program("inspect", str(tmp_path / "none.nir"), "--json")
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("error[NB001]")
    assert "\x1b" not in done.stderr


def test_a_result_is_json_on_stdout(tmp_path: Path) -> None:
    path = str(tmp_path / "yy.npz")
    assert program("data", "make", "yin-yang", path, "-n", "5", "--quiet").stderr == ""
    done = program("data", "info", path, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["n_samples"] == 5


def test_a_terminal_without_unicode_is_no_failure(tmp_path: Path) -> None:
    done = program("plugins", "quantize-weights", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_a_reader_that_stops_early_is_no_failure() -> None:
    command = f"{sys.executable} -m nirbridge plugins | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_the_version_is_told() -> None:
    from nirbridge import __version__

    assert program("--version").stdout == f"nirbridge {__version__}\n"
