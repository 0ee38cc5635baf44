"""A walk over an untrusted HDF5 file that refuses what could harm, before any array is read.

HDF5 can name other files, expand a small file to gigabytes and lead in circles; `nir.read` follows
all of it. The walk looks only at links, types, shapes and filters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5s, h5t, h5z

from nirbridge.errors import BadInput
from nirbridge.validate.names import MAX_NAME, name_problem

LZF = 32000
_VLEN_FLAGS = 3  # place of the flags in an encoded type: version (2 bytes), class, flags
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_SZIP, LZF}
_LINKS = {
    h5l.TYPE_EXTERNAL: ("NB002", "an external link, which reads another file"),
    h5l.TYPE_SOFT: ("NB003", "a soft link"),
}

_OBJECT = 64  # bytes that a text or a list takes in memory, however short

_PLAIN: dict[bytes, np.dtype[Any]] = {
    h5t.py_create(np.dtype(f"{order}{kind}")).encode(): np.dtype(f"{order}{kind}")
    for order in "<>"
    for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}
"""Number formats whose bytes in a file are those of numpy, by their HDF5 type in its stored form."""


@dataclass(frozen=True, slots=True)
class Plain:
    """An array that lies in the file in one piece, unpacked, in one of numpy's own formats.

    offset: bytes from the start of the file. Its values are taken from there without the library, so
    nothing else that the file says about them can matter, and 10^5 arrays take a second.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


Tree = dict[str, "Tree | Plain | h5d.DatasetID"]
"""Names of a group: a `Tree` for a group, else where the values lie or the open dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may ask for. A caller who trusts a file raises them.

    max_bytes: sum of the logical (unpacked) sizes of all arrays and strings.
    max_objects: groups and datasets. max_depth: groups inside each other.
    max_string: bytes of one string. max_name: bytes of one name. max_chunks: chunks of all arrays.
    empty: arrays without values (null dataspace), read as None. lists: lists of numbers as elements.
    """

    max_bytes: int = 1 << 30
    max_objects: int = 100_000
    max_depth: int = 64
    max_string: int = 16 << 20
    max_name: int = MAX_NAME
    max_chunks: int = 200_000
    empty: bool = False
    lists: bool = False


@dataclass(slots=True)
class Budget:
    """What the file has used of its limits so far; raises `BadInput` where one is passed."""

    limits: Limits
    bytes: int = 0
    objects: int = 0
    chunks: int = 0
    seen: set[int] = field(default_factory=set)

    def add_bytes(self, count: int, where: str) -> None:
        self.bytes += count
        if self.bytes > self.limits.max_bytes:
            raise refusal(
                "NB007",
                f"{where}: the arrays up to here unpack to {self.bytes:,} bytes, "
                f"the limit is {self.limits.max_bytes:,}",
                "raise Limits.max_bytes if you trust the file",
            )

    def add_objects(self, count: int, where: str) -> None:
        self.objects += count
        if self.objects > self.limits.max_objects:
            raise refusal(
                "NB009",
                f"{where}: more than {self.limits.max_objects:,} groups and datasets",
                "raise Limits.max_objects if you trust the file",
            )

    def add_chunks(self, count: int, where: str) -> None:
        self.chunks += count
        if self.chunks > self.limits.max_chunks:
            raise refusal(
                "NB009",
                f"{where}: the arrays up to here are cut into {self.chunks:,} chunks, "
                f"the limit is {self.limits.max_chunks:,}",
                "raise Limits.max_chunks if you trust the file",
            )


def refusal(code: str, message: str, fix: str | None = None) -> BadInput:
    """The error for a file that is not read further."""
    return BadInput(message, code=code, fix=fix or "ask whoever sent the file for a plain one")


def walk(file: h5py.File, budget: Budget) -> Tree:
    """The names in the file, each object checked (NB002-NB012) and nothing read.

    Errors of the HDF5 library itself (a corrupt file) pass through.
    """
    budget.seen.add(_address(file.id))
    return _walk_group(file.id, "", 0, budget)


def _walk_group(group: h5g.GroupID, where: str, depth: int, budget: Budget) -> Tree:
    if depth > budget.limits.max_depth:
        raise refusal("NB008", f"{where[:200]}…: groups nest deeper than {budget.limits.max_depth}")
    budget.add_objects(group.get_num_objs(), where or "/")
    tree: Tree = {}
    for raw in list(group):
        name = _name(raw, where, budget.limits)
        path = f"{where}/{name}"
        info = group.links.get_info(raw)
        if info.type != h5l.TYPE_HARD:
            code, what = _LINKS.get(info.type, ("NB002", "a link of an unknown kind"))
            raise refusal(code, f"{path}: is {what}, expected a group or an array of this file")
        if info.u in budget.seen:
            raise refusal("NB006", f"{path}: an object that already stands elsewhere in the file")
        budget.seen.add(info.u)
        item = h5o.open(group, raw)
        if isinstance(item, h5g.GroupID):
            tree[name] = _walk_group(item, path, depth + 1, budget)
        elif isinstance(item, h5d.DatasetID):
            tree[name] = check_dataset(item, path, budget) or item
        else:
            raise refusal("NB010", f"{path}: is a named type, expected a group or an array")
    return tree


def _address(group: h5g.GroupID) -> int:
    token = h5o.get_info(group)
    return int(token.addr)


def _name(raw: bytes | str, where: str, limits: Limits) -> str:
    try:
        name = raw if isinstance(raw, str) else raw.decode("utf-8")
        problem = name_problem(name, limits.max_name)
    except UnicodeError:
        problem, name = "is not UTF-8", ""
    if problem is not None:
        shown = ascii(raw)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise refusal("NB012", f"{where or '/'}: the name {shown} {problem}", "rename it")
    return name


def check_dataset(dataset: h5d.DatasetID, path: str, budget: Budget) -> Plain | None:
    """Refuse an array whose values lie elsewhere, or are of a kind or a size that is not read.

    Returns where they lie if that is one piece of the file. The library is asked as little as can be:
    each question takes 5 to 40 µs.
    """
    kind, space = dataset.get_type(), dataset.get_space()
    dtype = None if kind.committed() else _PLAIN.get(kind.encode())
    offset = None if dtype is None else dataset.get_offset()
    extent = space.get_simple_extent_type()
    if dtype is not None and offset is not None and extent in (h5s.SCALAR, h5s.SIMPLE):
        plain = Plain(offset, space.get_simple_extent_dims(), dtype)
        budget.add_bytes(math.prod(plain.shape) * dtype.itemsize, path)
        return plain
    plan = dataset.get_create_plist()
    if plan.get_external_count() > 0:
        raise refusal("NB004", f"{path}: its values lie in another file (external storage)")
    layout = plan.get_layout()
    if layout == h5d.VIRTUAL:
        raise refusal("NB005", f"{path}: a virtual dataset, which reads other files")
    item_size = dtype.itemsize if dtype is not None else _check_type(kind, path, budget.limits)
    if extent not in (h5s.SCALAR, h5s.SIMPLE):
        if budget.limits.empty:
            return None
        raise refusal("NB010", f"{path}: has no values (null dataspace), expected an array")
    held = max(item_size, _OBJECT) if kind.get_class() in (h5t.STRING, h5t.VLEN) else item_size
    shape = space.get_simple_extent_dims()
    raw_chunk = 0
    if layout == h5d.CHUNKED:
        chunk = plan.get_chunk()
        counts = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
        raw_chunk = math.prod(chunk) * item_size
        budget.add_chunks(math.prod(counts), path)
        budget.add_bytes(math.prod(counts) * math.prod(chunk) * held, path)
    else:
        budget.add_bytes(math.prod(shape) * held, path)
    if plan.get_nfilters():
        _check_filters(dataset, plan, raw_chunk, path)
    return None


def _check_type(kind: h5t.TypeID, path: str, limits: Limits) -> int:
    """Bytes of one element; raises where the type is none that NIR uses."""
    if kind.committed():
        raise refusal("NB010", f"{path}: uses a named type, expected a plain one")
    found = kind.get_class()
    if found == h5t.VLEN and limits.lists:
        if kind.encode()[_VLEN_FLAGS] & 0x0F:  # neither a list nor a string: the library would crash
            raise refusal("NB001", f"{path}: its type is damaged")
        _check_type(kind.get_super(), path, replace(limits, lists=False))
        return int(kind.get_size())
    if found == h5t.STRING:
        size = int(kind.get_size())
        if size > limits.max_string:
            raise refusal("NB012", f"{path}: strings of {size:,} bytes, the limit is {limits.max_string:,}")
        return size
    if found in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
        try:
            dtype = kind.dtype
        except (TypeError, ValueError) as cause:
            raise refusal("NB010", f"{path}: a number format that numpy does not have") from cause
        if found != h5t.ENUM or dtype == np.bool_:
            return max(int(dtype.itemsize), int(kind.get_size()))
    raise refusal(
        "NB010", f"{path}: holds {_class_name(found)}, expected integers, floats, booleans or strings"
    )


def _class_name(found: int) -> str:
    names: dict[int, str] = {
        h5t.BITFIELD: "bit fields",
        h5t.OPAQUE: "opaque bytes",
        h5t.COMPOUND: "compound or complex values",
        h5t.REFERENCE: "references",
        h5t.ENUM: "an enumeration",
        h5t.VLEN: "arrays of varying length",
        h5t.ARRAY: "arrays as elements",
        h5t.TIME: "times",
    }
    return names.get(found, f"values of the unknown class {found}")


def _check_filters(dataset: h5d.DatasetID, plan: Any, raw_chunk: int, path: str) -> None:
    codes: set[int] = set()
    for at in range(plan.get_nfilters()):
        code, _flags, values, _name = plan.get_filter(at)
        if code not in _FILTERS:
            raise refusal("NB011", f"{path}: packed by filter {code}, expected gzip, lzf or szip")
        if code in codes:
            raise refusal("NB011", f"{path}: packed twice by filter {code}")
        if code == LZF and len(values) > 2 and values[2] not in (0, raw_chunk):
            raise refusal("NB011", f"{path}: lzf states {values[2]:,} bytes a chunk, it has {raw_chunk:,}")
        codes.add(code)
    most = raw_chunk + raw_chunk // 64 + 64

    def check(chunk: Any) -> None:
        if chunk.size > most:
            raise refusal(
                "NB011", f"{path}: a chunk of {raw_chunk:,} bytes is stored in {chunk.size:,} bytes"
            )

    dataset.chunk_iter(check)
