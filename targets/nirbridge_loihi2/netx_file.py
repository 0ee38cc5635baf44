"""Read a NetX file (.net, HDF5) into plain arrays, refusing what could reach outside the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nirbridge.errors import BadInput

Values = dict[str, Any]
_FILTERS = {1, 2, 3, 4, 32000}  # gzip, shuffle, fletcher32, szip, lzf
_FIX = "write the file again with its original tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLimits:
    """How large a file may be: bytes of all arrays together, objects, depth of groups."""

    max_bytes: int = 1 << 30
    max_objects: int = 20_000
    max_depth: int = 6


class _Walk:
    def __init__(self, path: Path, limits: NetLimits) -> None:
        self.path, self.limits = path, limits
        self.seen: set[Any] = set()
        self.bytes = 0

    def refuse(self, code: str, name: str, found: str) -> BadInput:
        return BadInput(f"{self.path.name}: {name!a} {found}", code=code, fix=_FIX)

    def group(self, group: h5py.Group, depth: int) -> Values:
        if depth > self.limits.max_depth:
            raise self.refuse("NB008", group.name, f"lies deeper than {self.limits.max_depth} groups")
        result: Values = {}
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise self.refuse("NB002", where, "is an external link, expected data inside the file")
            if not isinstance(link, h5py.HardLink):
                raise self.refuse("NB003", where, "is a soft link, expected data inside the file")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in self.seen:
                raise self.refuse("NB006", where, "is an object that the file holds under another name too")
            self.seen.add(address)
            if len(self.seen) > self.limits.max_objects:
                raise self.refuse("NB009", where, f"is beyond {self.limits.max_objects} objects")
            if isinstance(item, h5py.Group):
                result[name] = self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                result[name] = self.dataset(item, where)
            else:
                raise self.refuse("NB010", where, "is neither a group nor a dataset")
        return result

    def dataset(self, data: h5py.Dataset, where: str) -> Any:
        if data.shape is None:  # an empty dataset stands for an absent one
            return None
        if data.external:
            raise self.refuse("NB004", where, "keeps its data in another file")
        if data.is_virtual:
            raise self.refuse("NB005", where, "is a virtual dataset")
        plist = data.id.get_create_plist()
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        if not set(filters) <= _FILTERS or len(set(filters)) < len(filters):
            raise self.refuse("NB011", where, f"is stored with filters {filters}")
        if filters:
            self.chunks(data, where)
        text = h5py.check_string_dtype(data.dtype)
        if text is None and data.dtype.kind not in "iufb":
            raise self.refuse("NB010", where, f"has the type {data.dtype}, expected numbers or a string")
        if text is not None and data.size != 1:
            raise self.refuse("NB010", where, f"holds {data.size} strings, expected one")
        self.bytes += data.size * data.dtype.itemsize
        if self.bytes > self.limits.max_bytes:
            raise self.refuse("NB007", where, f"takes the arrays beyond {self.limits.max_bytes} bytes")
        if text is None:
            return np.asarray(data[()])
        if text.length is None and data.id.get_storage_size() > 1 << 16:
            raise self.refuse("NB012", where, "is a string of more than 64 KiB")
        raw = np.asarray(data[()]).reshape(-1)[0]
        value = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else str(raw)
        return value[:64]

    def chunks(self, data: h5py.Dataset, where: str) -> None:
        """Refuse chunks that are stored larger than they unpack: some unpack far beyond their size."""
        raw = int(np.prod(data.chunks, dtype=np.int64)) * data.dtype.itemsize
        whole = int(np.prod([-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True)])) * raw
        if self.bytes + whole > self.limits.max_bytes:
            raise self.refuse("NB007", where, f"takes the arrays beyond {self.limits.max_bytes} bytes")

        def check(chunk: Any) -> None:
            if chunk.size > raw + raw // 64 + 64:
                raise self.refuse("NB011", where, f"has a chunk of {raw} bytes stored in {chunk.size}")

        data.id.chunk_iter(check)


def read_layers(path: Path, limits: NetLimits | None = None) -> list[Values]:
    """The groups ``/layer/0``, ``/layer/1`` … as nested dicts of arrays, strings and None (empty).

    Raises `BadInput` (NB001 to NB012) for anything but a self-contained file of numbers and strings.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file", code="NB001", fix="check the path")
    try:
        with h5py.File(path, "r") as file:
            walk = _Walk(path, limits or NetLimits())
            layers = walk.group(file, 0).get("layer")
    except (OSError, RuntimeError, KeyError, UnicodeError) as error:
        raise BadInput(f"{path.name}: not a readable HDF5 file: {error}", code="NB001", fix=_FIX) from error
    if not isinstance(layers, dict) or not layers:
        raise BadInput(
            f"{path.name}: no group '/layer', so this is no NetX file", code="NB013", fix="give a .net file"
        )
    expected = [str(i) for i in range(len(layers))]
    if sorted(layers) != sorted(expected):
        raise BadInput(
            f"{path.name}: layers are named {', '.join(sorted(layers)[:8])}, "
            f"expected 0 to {len(layers) - 1}",
            code="NB013",
            fix=_FIX,
        )  # fmt: skip
    return [layers[name] for name in expected]
