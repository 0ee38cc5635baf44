"""``X.run.json`` beside every output file X: what made it, from what, with which versions, where, when."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SCHEMA = "nirbridge.run/1"
PACKAGES = ("nirbridge", "nir", "numpy", "numba", "h5py", "onnx")


@dataclass(frozen=True)
class Provenance:
    """One run of a command: started when it is made, written beside each output.

    arguments: as they were typed; options: the command's, as plain values; inputs: files that were
    read; seed: of random numbers.
    """

    command: str
    arguments: Sequence[str]
    options: Mapping[str, Any]
    inputs: Sequence[Path] = ()
    seed: int | None = None
    started: float = field(default_factory=time.time)
    digests: tuple[dict[str, Any], ...] = field(init=False)

    def __post_init__(self) -> None:
        # Now, not when writing: a command may replace one of its inputs.
        found = tuple(described(path) for path in self.inputs if path.is_file())
        object.__setattr__(self, "digests", found)

    def write(self, output: Path, **more: Any) -> Path:
        """Write ``<output>.run.json`` atomically and return its path. ``more``: further entries."""
        import json

        from nirbridge.cli.output import plain
        from nirbridge.io.atomic import write_text

        now = time.time()
        value = {
            "schema": SCHEMA,
            "command": command_line(self.arguments),
            "name": self.command,
            "options": dict(self.options),
            "seed": self.seed,
            "output": described(output),
            "inputs": list(self.digests),
            "versions": versions(),
            "machine": machine(),
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(now - self.started, 3),
            **more,
        }
        path = beside(output)
        write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")
        return path


def beside(output: Path) -> Path:
    """The name of the run file of an output: ``net.nir`` -> ``net.nir.run.json``."""
    return output.with_name(output.name + ".run.json")


def command_line(arguments: Sequence[str]) -> str:
    """The command as it was typed, quoted for a shell."""
    return shlex.join(["nirbridge", *arguments])


def described(path: Path) -> dict[str, Any]:
    """Name, size in bytes and sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": digest}


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The kind of machine: system, processor, number of cores; nothing that names it."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
    }
