"""`nirbridge doctor`: versions, GPU, plugins and the kernel cache of this installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nirbridge.cli.options import Json, Quiet
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = "nirbridge.doctor/1"


def command(json: Json = False, quiet: Quiet = False) -> None:
    """Say what is installed and works here.

    The exit code is 4 if a plugin cannot be loaded.
    """
    import typer

    from nirbridge.cli.provenance import machine, versions

    plugins = _plugins()
    value = {
        "schema": SCHEMA,
        "versions": versions(),
        "machine": machine(),
        "cuda": _cuda(),
        "kernel_cache": _cache(plugins),
        "plugins": plugins,
    }
    Output(json, quiet).result(value, lambda console: _show(console, value))
    if any(plugin["error"] for plugin in plugins):
        raise typer.Exit(4)


def _plugins() -> list[dict[str, Any]]:
    """Every plugin, loaded: its error in place of a traceback where that fails."""
    from nirbridge.errors import PluginError
    from nirbridge.plugins import GROUPS, available, load

    result = []
    for group in GROUPS:
        for plugin in available(group):
            error = None
            try:
                load(group, plugin.name)
            except PluginError as problem:
                error = str(problem)
            result.append(
                {
                    "name": plugin.name,
                    "group": group,
                    "package": plugin.package,
                    "from": plugin.value,
                    "error": error,
                }
            )
    return result


def _cuda() -> dict[str, Any]:
    """The GPU that ``backend=cuda`` runs on, or why there is none."""
    from nirbridge.kernels.gpu import find_gpu

    gpu = find_gpu()
    return {"available": gpu.device is not None, "device": gpu.device, "reason": gpu.reason}


def _cache(plugins: list[dict[str, Any]]) -> dict[str, Any]:
    """Folder of the compiled kernels and how many of the present sources it holds."""
    from nirbridge.kernels import cache_folder

    packages = sorted({plugin["from"].partition(":")[0].partition(".")[0] for plugin in plugins})
    folders = [cache_folder(package) for package in packages]
    kernels = sum(1 for folder in folders if folder.is_dir() for _ in folder.rglob("*.nbc"))
    return {"folder": str(folders[0].parent) if folders else None, "kernels": kernels}


def _show(console: Console, value: dict[str, Any]) -> None:
    cuda, cache = value["cuda"], value["kernel_cache"]
    machine = value["machine"]
    facts = [
        ("versions", "   ".join(f"{name} {version}" for name, version in value["versions"].items())),
        ("machine", f"{machine['system']} {machine['processor']}, {machine['cpus']} cores"),
        ("cuda", cuda["device"] if cuda["available"] else f"none ({cuda['reason']}): CPU kernels"),
        ("kernel cache", f"{cache['folder']} ({cache['kernels']} kernels)" if cache["folder"] else "none"),
    ]
    for group in dict.fromkeys(plugin["group"] for plugin in value["plugins"]):
        names = [
            plugin["name"] + (" (fails)" if plugin["error"] else "")
            for plugin in value["plugins"]
            if plugin["group"] == group
        ]
        facts.append((group, "  ".join(names)))
    console.print(table(("", ""), facts))
    for plugin in value["plugins"]:
        if plugin["error"]:
            console.print(plugin["error"], soft_wrap=True)
