"""Reads the files whose paths come in on stdin, under a memory limit, and says what came of each.

One JSON object a line: outcome (result, error, bare, memory), code or exception, seconds, bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from nirbridge import evaluate, plugins
from nirbridge.errors import NirbridgeError
from nirbridge.graph import digest
from nirbridge.io import Limits, lint_file, read_dataset, read_graph, read_spikes
from nirbridge.io.nir_data import is_recording
from nirbridge.validate import validate

FILE_LIMIT = 64 << 20  # bytes that a file may unpack to
SPACE = 1 << 30  # bytes of address space above what the worker has when it starts
MOST = 8 * FILE_LIMIT  # resident bytes that one read may add


def nir(path: Path) -> None:
    if is_recording(path):
        read_spikes(path, limits=Limits(max_bytes=FILE_LIMIT))
        return
    lint_file(path, limits=Limits(max_bytes=FILE_LIMIT))
    graph = read_graph(path, limits=Limits(max_bytes=FILE_LIMIT), repair=True)
    if not any(finding.level == "error" for finding in validate(graph)):
        digest(graph)


def dataset(path: Path) -> None:
    read_dataset(path, max_bytes=FILE_LIMIT)


def onnx(path: Path) -> None:
    from nirbridge.io.onnx_in import OnnxLimits, read_ann

    read_ann(path, limits=OnnxLimits(max_bytes=FILE_LIMIT))


def net(path: Path) -> None:
    validate(plugins.load("formats", ".net")().read(path))


READERS: dict[str, Callable[[Path], None]] = {
    ".nir": nir,
    ".net": net,
    ".onnx": onnx,
    ".h5": dataset,
    ".h5.gz": dataset,
    ".npz": dataset,
    ".toml": lambda path: evaluate.read_config(path) and None,
}


def attempt(path: Path, ending: str) -> dict[str, object]:
    """What reading the file gives, the processor time it takes and the memory it adds."""
    _reset_peak()
    before, start = _peak(), time.process_time()
    answer: dict[str, object]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            READERS[ending](path)
        answer = {"outcome": "result", "what": ""}
    except NirbridgeError as error:
        starved = isinstance(error.__cause__, MemoryError)
        answer = {"outcome": "memory" if starved else "error", "what": error.code}
        str(error)
    except MemoryError:
        answer = {"outcome": "memory", "what": "MemoryError"}
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:120]}"
        answer = {"outcome": "bare", "what": what}
    used = _peak() - before
    if used > MOST:
        answer = {"outcome": "memory", "what": f"{used >> 20} MiB"}
    return {**answer, "seconds": time.process_time() - start, "bytes": used}


def _peak() -> int:
    """The largest resident size since `_reset_peak` [bytes]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    for line in Path(sys.argv[1]).read_text().splitlines():  # seeds: what they import is not counted
        path, ending = json.loads(line)
        outcome = attempt(Path(path), ending)
        if outcome["outcome"] != "result":
            print(f"{path}: {outcome['what']}", flush=True)
            return
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + SPACE, size + SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", flush=True)
    for line in sys.stdin:
        path, ending = json.loads(line)
        print(json.dumps(attempt(Path(path), ending)), flush=True)


if __name__ == "__main__":
    main()
