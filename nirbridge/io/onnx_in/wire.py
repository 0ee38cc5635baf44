"""Walk a protobuf file before it is parsed.

The parser makes an object of every message, however small: two bytes in a file become hundreds in
memory. So messages are counted in the raw bytes first, and what is no protobuf is told apart there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from nirbridge.io.onnx_in.limits import OnnxLimits, refused

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def walk(content: bytes, descriptor: Any, limits: OnnxLimits, path: Path) -> None:
    """Count fields and depth of a message of the type ``descriptor``.

    Raises `BadInput`: NB001 where the bytes are no such message, NB008 and NB009 where it exceeds a
    limit, NB012 for text that is no UTF-8. Fields that the type does not know are skipped, as the
    parser skips them.
    """
    left = limits.max_fields
    stack: list[tuple[int, int, Any]] = [(0, len(content), descriptor)]
    while stack:
        at, end, kind = stack.pop()
        inner, texts = _fields(kind)
        while at < end:
            left -= 1
            if left < 0:
                what = f"holds more than {limits.max_fields} entries"
                raise refused(
                    path, what, code="NB009", fix="read it with a larger max_fields if you trust it"
                )
            key, at = _varint(content, at, end, path)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                _, at = _varint(content, at, end, path)
                size = 0
            elif wire == BYTES:
                size, at = _varint(content, at, end, path)
            elif wire in (FIXED64, FIXED32):
                size = 8 if wire == FIXED64 else 4
            else:
                raise _broken(path, f"wire type {wire} at byte {at}")
            if number == 0 or size > end - at:
                raise _broken(path, f"field {number} of {size} bytes at byte {at}, {end - at} are left")
            if wire == BYTES and number in inner:
                stack.append((at, end, kind))  # go on behind it once it is done
                if len(stack) > limits.max_depth:
                    what = f"nests messages deeper than {limits.max_depth}"
                    raise refused(path, what, code="NB008")
                stack[-1] = (at + size, end, kind)
                at, end, kind = at, at + size, inner[number]
                inner, texts = _fields(kind)
                continue
            if wire == BYTES and number in texts:
                _check_text(content[at : at + size], at, path)
            at += size


@cache
def _fields(kind: Any) -> tuple[dict[int, Any], frozenset[int]]:
    """The fields of a message type that hold messages, and those that hold text."""
    inner = {f.number: f.message_type for f in kind.fields if f.message_type is not None}
    return inner, frozenset(f.number for f in kind.fields if f.type == f.TYPE_STRING)


def _check_text(text: bytes, at: int, path: Path) -> None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise refused(path, f"holds text at byte {at} that is no UTF-8", code="NB012") from cause


def _varint(content: bytes, at: int, end: int, path: Path) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _broken(path, f"a number that does not end at byte {at}")


def _broken(path: Path, what: str) -> Exception:
    return refused(
        path,
        f"not a readable ONNX file ({what})",
        code="NB001",
        fix="copy or export the file again: it is cut off or of another kind",
    )
