"""A short run of the fuzzer: no crash, no hang, no memory over the limit, no bare exception."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measures memory through /proc"
)


def run(*arguments: str, path: Path) -> tuple[int, dict]:
    command = [sys.executable, str(FOLDER), *arguments, "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert path.is_file(), done.stdout + done.stderr
    return done.returncode, json.loads(path.read_text())


def test_mutated_files_give_a_result_or_an_error(tmp_path: Path) -> None:
    code, value = run("-n", "300", "--seed", "1", path=tmp_path / "fuzz.json")
    failures = [failure for row in value["endings"].values() for failure in row["failures"]]
    assert (code, failures) == (0, [])
    assert sum(row["files"] for row in value["endings"].values()) == 300
    for ending, row in value["endings"].items():
        assert row["error"] > 0, ending
        assert row["result"] + row["error"] == row["files"], ending


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("import os; os._exit(11)", "crash"),
        ("while True: pass", "hang"),
        ("raise ValueError('plain')", "bare"),
        ("bytearray(1 << 40)", "memory"),
        ("return b'x' * (700 << 20)", "memory"),
    ],
)
def test_the_watch_sees_what_it_watches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, outcome: str
) -> None:
    """A worker in which one reader misbehaves."""
    monkeypatch.syspath_prepend(FOLDER)
    from pool import Worker

    script = tmp_path / "bad.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\nimport worker\n"
        f"def read(path):\n    {body}\n"
        "worker.READERS['.toml'] = read\nworker.main()\n"
    )
    (tmp_path / "warm.txt").write_text("")
    worker = Worker(tmp_path / "warm.txt", script, clock=5.0)
    try:
        assert worker.read(tmp_path / "a.toml", ".toml")["outcome"] == outcome
    finally:
        worker.stop()
