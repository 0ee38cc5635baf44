"""Contenders in processes of their own, visited in turn: what the driver says and what a process answers."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import CONTENDERS

ONE_THREAD = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")},
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}
WARM_UP = 2


class Visited:
    """One contender on one workload; ``best`` are the least CPU and wall seconds of a step so far."""

    def __init__(self, name: str, path: Path, script: Path) -> None:
        self.name = name
        self.best = {"cpu": math.inf, "wall": math.inf}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, str(script), "--contender", name, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=os.environ | ONE_THREAD,
        )  # fmt: skip

    def _answer(self) -> dict[str, float] | None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ready(self) -> dict[str, float] | None:
        """First loss and hidden spikes after the warm-up; None where the process ended instead."""
        return self._answer()

    def visit(self, steps: int) -> None:
        """So many timed steps, each from the file's weights."""
        assert self.process.stdin is not None
        print(steps, file=self.process.stdin, flush=True)
        answer = self._answer()
        if answer is None:
            raise SystemExit(f"{self.name} ended during a visit: {self.failure()}")
        self.best = {key: min(self.best[key], answer[key]) for key in self.best}

    def failure(self) -> str:
        """The last line that the process wrote to stderr."""
        self.process.wait()
        self.log.seek(0)
        lines = [line for line in self.log.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def serve(name: str, path: Path) -> None:
    """The process of a contender: build, warm up, then answer every number of steps on stdin with times."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    contender = CONTENDERS[name].build(path)
    losses = []
    for _ in range(WARM_UP):
        contender.restart()
        losses.append(contender.step())
    print(json.dumps({"loss": losses[0], "spikes": contender.hidden_spikes()}), file=answers, flush=True)
    for line in sys.stdin:
        best = {"cpu": math.inf, "wall": math.inf}
        for _ in range(int(line)):
            contender.restart()
            wall, cpu = time.perf_counter(), time.process_time()
            contender.step()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            best = {"cpu": min(best["cpu"], cpu), "wall": min(best["wall"], wall)}
        print(json.dumps(best), file=answers, flush=True)
