"""The CUDA kernel: in numba's simulator equal to the CPU, compiled without a GPU, refused without one."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge.cli import main
from nirbridge.data import Dataset
from nirbridge.errors import Unsupported, UsageError
from nirbridge.io import write_dataset, write_graph
from nirbridge.kernels.gpu import find_gpu
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_reference import Reference
from nirbridge_reference.neuron import I_START, V_START, standard

FOLDER = Path(__file__).parent
SCRIPT = runpy.run_path(str(FOLDER / "cuda_cases.py"))
CASES, results = SCRIPT["CASES"], SCRIPT["results"]
GPU = find_gpu()
# cases once more, where only the way of computing differs: threads of a block, sparse matrices added by
# row or by target, dense ones as sparse ones, a tape that overflows, memory for a few samples only
WAYS = {
    "cubalif": ["1 threads", "3 threads", "33 threads", "chosen threads", "a short tape", "dense as sparse"],
    "numbers": ["dense as sparse"],
    "signals": ["dense as sparse"],
    "images": ["rows", "row by row or by target", "by target"],
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The results of all cases in the simulator, which has to be chosen before numba is imported."""
    out = tmp_path_factory.mktemp("cuda") / "simulated.npz"
    variables = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, FOLDER / "cuda_cases.py", out]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(np.load(out))


def assert_equal(found: dict[str, np.ndarray], label: str, expected: dict[str, np.ndarray]) -> None:
    keys = {key.partition("|")[2] for key in found if key.startswith(f"{label}|")}
    assert keys == set(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(found[f"{label}|{key}"], values, err_msg=f"{label}: {key}")


@pytest.mark.parametrize("name", CASES)
def test_the_simulator_equals_the_cpu(simulated: dict[str, np.ndarray], name: str) -> None:
    expected = results(name)
    spikes = [values for key, values in expected.items() if key.startswith("spikes ")]
    for values in spikes or [expected["output"]]:
        assert np.count_nonzero(values) > 0
    assert_equal(simulated, name, expected)


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, ways in WAYS.items() for way in ways])
def test_results_do_not_depend_on_how_they_are_computed(
    simulated: dict[str, np.ndarray], name: str, way: str
) -> None:
    assert_equal(simulated, f"{name}#{way}", results(name))


def test_a_batch_runs_in_chunks_that_the_memory_holds(simulated: dict[str, np.ndarray]) -> None:
    assert_equal(simulated, "cubalif#little memory", results("cubalif", samples=5))
    launched = simulated["launched"][1:]  # the first compiles
    assert launched.sum() >= 5 and 1 <= launched.max() < 5


@pytest.mark.parametrize("what", ["tables", "sample"])
def test_what_does_not_fit_at_all_is_refused_with_its_placement(
    simulated: dict[str, np.ndarray], what: str
) -> None:
    message, exceeded = simulated[f"refused {what}"]
    assert "error[NB607]" in message and what in message and "CUDA simulator" in message
    assert exceeded == "True"


@pytest.mark.parametrize("what", SCRIPT["EXPLOSIONS"])
def test_numbers_that_are_lost_are_refused_by_node(simulated: dict[str, np.ndarray], what: str) -> None:
    message = SCRIPT["lost"](what)
    assert message == str(simulated[f"lost {what}"])
    assert "error[NB510] sample 1: a neuron of node 'h' sends 2147483647 spikes or more in step" in message
    assert "loops first" in message


def test_a_batch_on_the_gpu_has_one_measured_latency(simulated: dict[str, np.ndarray]) -> None:
    value, wall, samples = simulated["cost"]
    assert value == wall > 0
    assert samples == 3


@pytest.mark.skipif(GPU.device is None, reason=f"no GPU: {GPU.reason}")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_equals_the_cpu(name: str) -> None:
    found = results(name, samples=40, backend="cuda")
    for key, values in results(name, samples=40).items():
        if name == "ode" and not key.startswith(("spikes", "counts")):
            np.testing.assert_allclose(found[key], values, rtol=1e-12, err_msg=key)  # the GPU's own exp, log
        else:
            np.testing.assert_array_equal(found[key], values, err_msg=key)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "semantics" not in case[2]])
def test_the_scalar_step_is_the_cpu_loops(name: str) -> None:
    """The function that the GPU runs, compiled for the CPU and fed with the recorded input of each neuron."""
    build, fields, options = CASES[name]
    rng = np.random.default_rng(5)
    graph = with_semantics(build(rng), Semantics(dt=SCRIPT["DT"], **fields))
    program = Reference(**options).compile(graph)
    low = program.lowered
    units = sum(p.size for p in low.network.populations if p.kind == "input")
    recording = program.run(SCRIPT["inputs"](rng, units, 1), record=SCRIPT["quantities"](graph))
    v, current = low.parameters[V_START].copy(), low.parameters[I_START].copy()
    for at in low.network.neurons:
        p, start = low.network.populations[at], low.pops[at, 1]
        x, states = recording.traces[f"{p.name}:x"][0], slice(start, start + p.size)
        sent = np.zeros(x.shape)
        for t in range(len(x)):
            for k in range(p.size):
                sent[t, k] = standard(
                    low.pops[at, 0], start + k, x[t, k], v, current, low.parameters, low.flags
                )
            np.testing.assert_array_equal(v[states], recording.traces[f"{p.name}:v"][0, t])
            np.testing.assert_array_equal(current[states], recording.traces[f"{p.name}:i"][0, t])
        if p.spiking:
            np.testing.assert_array_equal(sent, recording.spikes[p.name].to_dense(SCRIPT["DT"])[0])


def _has_compiler() -> bool:
    code = "import sys; from numba.cuda.cudadrv import nvvm; sys.exit(not nvvm.is_available())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_compiler(), reason="no CUDA compiler (libNVVM): install nirbridge[cuda12]")
def test_the_kernel_compiles_and_fuses_no_product_with_a_sum() -> None:
    """A fused a·b + c has one rounding, the CPU's has two. Only exp and log of profile ode have some."""
    done = subprocess.run([sys.executable, FOLDER / "cuda_ptx.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for number, functions in json.loads(done.stdout).items():
        fused = {name: {k: n for k, n in found.items() if "fma" in k} for name, found in functions.items()}
        whole = fused.pop("kernel")
        assert whole == fused.pop("ode") != {}
        assert fused == {name: {} for name in fused}, number
        rounded = f"mul.rn.f{number[-2:]}"
        assert functions["kernel"][rounded] > functions["standard"][rounded] > 0


@pytest.mark.skipif(GPU.device is not None, reason="there is a GPU")
def test_it_is_refused_where_there_is_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = with_semantics(CASES["cubalif"][0](np.random.default_rng(0)), Semantics(dt=1e-3))
    with pytest.raises(Unsupported) as caught:
        Reference(backend="cuda").compile(graph)
    assert caught.value.code == "NB608"
    (finding,) = Reference(backend="cuda").check(graph)
    assert (finding.code, finding.level) == ("NB608", "error")
    assert Reference().check(graph) == []
    write_graph(tmp_path / "net.nir", graph)
    spikes = SCRIPT["inputs"](np.random.default_rng(0), 5)
    write_dataset(tmp_path / "data.npz", Dataset(spikes, np.zeros(2, int), ("only",)))
    target = ["--target", "reference:backend=cuda"]
    assert main(["run", str(tmp_path / "net.nir"), *target, "--data", str(tmp_path / "data.npz")]) == 4
    refused = capsys.readouterr()
    assert refused.out == ""
    assert main(["doctor", "--json"]) == 0
    doctor = json.loads(capsys.readouterr().out)["cuda"]
    assert (doctor["available"], doctor["device"]) == (False, None)
    for text in (str(caught.value), finding.message, refused.err):
        assert doctor["reason"] in " ".join(text.split())
    assert "backend=cpu" in refused.err and "Traceback" not in refused.err


def test_cuda_is_imported_only_when_asked_for() -> None:
    code = (
        "import sys, runpy; s = runpy.run_path(sys.argv[1]); s['results']('cubalif');"
        "print([m for m in sys.modules if m.startswith(('numba.cuda', 'nirbridge_reference.cuda'))])"
    )
    command = [sys.executable, "-c", code, FOLDER / "cuda_cases.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "gpu"}, "option backend is 'gpu', expected one of cpu, cuda"),
        ({"backend": "cuda", "threads": 1025}, "option threads is 1025, expected at most 1024"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Reference(**options)
    assert caught.value.code == "NB701"
