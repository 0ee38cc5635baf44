"""A worker process that reads files under watch: it may die, hang or starve, and the run goes on."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("worker.py")


@dataclass
class Worker:
    """A process that reads files; started again after it died or was stopped."""

    warm: Path
    script: Path = SCRIPT
    clock: float = 20.0
    processor: float = 2.0
    process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        if self.process is None:
            command = [sys.executable, str(self.script), str(self.warm)]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            line = self._line(self.process, 300)
            if line != "ready\n":
                self.stop()
                raise SystemExit(f"a worker does not start: {line or 'no answer'}")
        return self.process

    def read(self, path: Path, ending: str) -> dict[str, Any]:
        process = self.start()
        assert process.stdin is not None
        process.stdin.write(json.dumps([str(path), ending]) + "\n")
        process.stdin.flush()
        line = self._line(process, self.clock)
        if line is None:
            self.stop()
            what = f"over {self.clock:g} s by the clock"
            return {"outcome": "hang", "what": what, "seconds": self.clock, "bytes": 0}
        if not line:
            code = process.wait()
            self.process = None
            return {"outcome": "crash", "what": f"exit status {code}", "seconds": 0.0, "bytes": 0}
        answer: dict[str, Any] = json.loads(line)
        if answer["seconds"] > self.processor:
            return {**answer, "outcome": "hang", "what": f"{answer['seconds']:.1f} s, {answer['what']}"}
        return answer

    @staticmethod
    def _line(process: subprocess.Popen[str], seconds: float) -> str | None:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        return process.stdout.readline() if ready else None

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
