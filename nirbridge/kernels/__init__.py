"""Where compiled kernels are cached: numba does not notice that a function which a kernel calls has changed.

So the cache folder carries a hash of all sources of the package that a kernel belongs to, and of the
kernels here that all packages share.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numba
import numba.core.config as config

_BASE = config.CACHE_DIR  # NUMBA_CACHE_DIR, or empty


def use_cache(package: str) -> None:
    """Point numba's cache at the folder of this package's present sources.

    Call it in a module that defines kernels, before the first decorator. The folder lies in
    ``NUMBA_CACHE_DIR`` where that is set, else in the user's cache folder.
    """
    config.CACHE_DIR = str(cache_folder(package))


@cache
def cache_folder(package: str) -> Path:
    """The folder: ``<user's cache>/nirbridge/<package>-<hash of its sources and of numba's version>``."""
    top = package.partition(".")[0]
    shared = Path(__file__).parent
    folders = [shared]
    spec = find_spec(top)
    if top != "nirbridge" and spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent)
    sha = hashlib.sha256(numba.__version__.encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            sha.update(path.read_bytes())
    base = Path(_BASE) if _BASE else _user_cache() / "nirbridge"
    return base / f"{top}-{sha.hexdigest()[:16]}"


def _user_cache() -> Path:
    """The platform's folder for caches."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
