"""What `import nirbridge` offers, and what it does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nirbridge

HEAVY = ("numba", "onnx", "h5py", "nir", "numpy", "pydantic", "rich", "typer")
PLUGINS = ("nirbridge_reference", "nirbridge_loihi2", "nirbridge_spinnaker2", "nirbridge_eventprop")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_all_names_what_can_be_imported() -> None:
    assert sorted(nirbridge.__all__) == sorted({*nirbridge._EXPORTS, "__version__"})
    for name in nirbridge.__all__:
        assert getattr(nirbridge, name) is not None
    assert set(nirbridge.__all__) <= set(dir(nirbridge))


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="'nirbridge' has no attribute 'Network'"):
        nirbridge.Network  # noqa: B018


def test_importing_nirbridge_imports_nothing_heavy() -> None:
    assert not loaded_after("import nirbridge") & {*HEAVY, *PLUGINS}


@pytest.mark.parametrize(
    "module", ["protocols", "passes", "network", "analysis", "cost", "plugins", "io", "evaluate", "cli"]
)
def test_the_core_loads_no_kernel_and_no_plugin(module: str) -> None:
    assert not loaded_after(f"import nirbridge.{module}") & {"numba", "onnx", *PLUGINS}


def test_every_export_comes_without_a_plugin() -> None:
    names = ", ".join(name for name in nirbridge.__all__ if name != "__version__")
    assert not loaded_after(f"from nirbridge import {names}") & {"numba", "onnx", *PLUGINS}
