"""A look at the bytes behind an HDF5 file's strings and lists, before the library follows them.

The library walks the objects of a heap by their own sizes, where a wrong one keeps it in an endless
loop, and sets aside whatever length a string or a list claims: up to 4 GiB of elements.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np
from h5py import h5d, h5t

from nirbridge.io.hdf5_walk import Limits, refusal

_SIGNATURE = b"GCOL\x01\0\0\0"
_HEADER = 16  # signature, version, reserved, size of the heap
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size
_STRING = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
_PART = 1 << 20

Content = mmap.mmap | bytes


@contextmanager
def content_of(file: h5py.File) -> Iterator[Content]:
    """The bytes of a file that was opened by its name, through the library's own handle."""
    with mmap.mmap(file.id.get_vfd_handle(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def check_heaps(file: h5py.File, content: Content) -> None:
    """Refuse a file (NB001) in which a heap's objects do not lead to its end."""
    if tuple(file.id.get_create_plist().get_sizes()) != (8, 8):
        raise refusal("NB001", "uses addresses of an unusual size, expected 8 bytes")
    at = content.find(_SIGNATURE)
    while at >= 0:
        if not _ends(content, at):
            raise refusal("NB001", f"the string heap at byte {at:,} is damaged")
        at = content.find(_SIGNATURE, at + 1)


def _ends(content: Content, start: int) -> bool:
    (size,) = struct.unpack_from("<Q", content, start + 8) if start + _HEADER <= len(content) else (0,)
    end = start + size
    if end > len(content):
        return True  # the library refuses a heap that is longer than the file
    at = start + _HEADER
    while at + _OBJECT.size <= end:
        index, _, _, length = _OBJECT.unpack_from(content, at)
        step = _OBJECT.size + (length + 7) // 8 * 8 if index else length
        if step == 0 or step >= 1 << 63:
            return False
        at += step
    return True


def check_lengths(dataset: h5d.DatasetID, path: str, content: Content, limits: Limits) -> None:
    """Refuse strings or lists of varying length that claim more than the limit, or than the file has.

    Sees plain and chunked arrays; packed ones hold their lengths behind a filter.
    """
    kind = dataset.get_type()
    text = kind.get_class() == h5t.STRING
    what, each = ("string", 1) if text else ("list", int(kind.get_super().get_size()))
    for offset, count in _extents(dataset):
        for start in range(0, count - count % _STRING.itemsize, _PART * _STRING.itemsize):
            at = offset + start
            raw = content[at : at + min(count - start, _PART * _STRING.itemsize)]
            strings = np.frombuffer(raw[: len(raw) - len(raw) % _STRING.itemsize], dtype=_STRING)
            longest = int(strings["length"].max(initial=0)) * each
            if text and longest > limits.max_string:
                raise refusal(
                    "NB012", f"{path}: a string of {longest:,} bytes, the limit is {limits.max_string:,}"
                )
            if longest > len(content):
                raise refusal("NB001", f"{path}: a {what} of {longest:,} bytes in a file of {len(content):,}")


def _extents(dataset: h5d.DatasetID) -> Iterator[tuple[int, int]]:
    """Offset and size in bytes of the array's unpacked pieces in the file."""
    plan = dataset.get_create_plist()
    if plan.get_layout() == h5d.CONTIGUOUS and dataset.get_offset() is not None:
        yield int(dataset.get_offset()), int(dataset.get_storage_size())
    elif plan.get_layout() == h5d.CHUNKED and plan.get_nfilters() == 0:
        chunks: list[tuple[int, int]] = []

        def add(chunk: h5d.StoreInfo) -> None:
            chunks.append((int(chunk.byte_offset), int(chunk.size)))

        dataset.chunk_iter(add)
        yield from chunks
