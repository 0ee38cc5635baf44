"""A look at the heaps that hold an HDF5 file's strings, before the library follows them.

The library walks the objects of a heap by their own sizes; sizes that lead nowhere keep it in an
endless loop that no exception can end.
"""

from __future__ import annotations

import mmap
import struct

import h5py

from nirbridge.io.hdf5_walk import refusal

_SIGNATURE = b"GCOL\x01\0\0\0"
_HEADER = 16  # signature, version, reserved, size of the heap
_OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size


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
