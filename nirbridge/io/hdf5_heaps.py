"""A look at the bytes behind an HDF5 file's strings, before the library follows them.

The library walks the objects of a heap by their own sizes, where a wrong one keeps it in an endless
loop, and sets aside whatever length a string claims: up to 4 GiB.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import h5py
import numpy as np
from h5py import h5d, h5i

from nirbridge.io.hdf5_walk import Limits, refusal

_SIGNATURE = b"GCOL\x01\0\0\0"
_HEADER = 16  # signature, version, reserved, size of the heap
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size
_STRING = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
_PART = 1 << 20


def check_heaps(file: h5py.File) -> None:
    """Refuse a file (NB001) in which a heap's objects do not lead to its end."""
    if tuple(file.id.get_create_plist().get_sizes()) != (8, 8):
        raise refusal("NB001", "uses addresses of an unusual size, expected 8 bytes")
    descriptor = file.id.get_vfd_handle()
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_SIGNATURE)
        while at >= 0:
            if not _ends(content, at):
                raise refusal("NB001", f"the string heap at byte {at:,} is damaged")
            at = content.find(_SIGNATURE, at + 1)


def _ends(content: mmap.mmap, start: int) -> bool:
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


def check_lengths(dataset: h5d.DatasetID, path: str, limits: Limits) -> None:
    """Refuse strings of varying length that claim more than a string may have, or than the file has.

    Sees plain and chunked arrays; packed ones hold their lengths behind a filter.
    """
    descriptor = h5i.get_file_id(dataset).get_vfd_handle()
    size = os.fstat(descriptor).st_size
    for offset, count in _extents(dataset):
        for start in range(0, count - count % _STRING.itemsize, _PART * _STRING.itemsize):
            part = min(count - start, _PART * _STRING.itemsize)
            raw = os.pread(descriptor, part - part % _STRING.itemsize, offset + start)
            strings = np.frombuffer(raw[: len(raw) - len(raw) % _STRING.itemsize], dtype=_STRING)
            longest = int(strings["length"].max(initial=0))
            if longest > limits.max_string:
                raise refusal(
                    "NB012", f"{path}: a string of {longest:,} bytes, the limit is {limits.max_string:,}"
                )
            if longest > size:
                raise refusal("NB001", f"{path}: a string of {longest:,} bytes in a file of {size:,}")


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
