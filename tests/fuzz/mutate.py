"""Mutations: a valid file and a random generator in, a broken file out. Blind ones first, then by kind."""

from __future__ import annotations

import gzip
import re
import tokenize
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mutate_hdf5 import mutate_hdf5
from numpy.random import Generator

Mutation = Callable[[Path, Generator], None]
WORDS = [
    "nan", "inf", "-1", "0", "1e999", "9" * 400, "''", '"\\u0000"', "[]", "{}", "true", "1979-05-27", "1_0",
    "[" * 2000 + "]" * 2000, "{a=" * 500 + "1" + "}" * 500, '"yin-yang:train:9999999"', '"/dev/zero"', "=",
    '"../../x.nir"', "[graph]", "[[data]]", "[a.b.c]", "x = 1", "\\", "\x00", "ä", "#", '"""', "1e-300",
    "1", "2", "3", "7", "0.5", "0.01", "[5]", "[3, 4]", "1.5", "false", '"yin-yang:test:5"', '"xent-sum"',
]  # fmt: skip


def mutate(path: Path, ending: str, rng: Generator) -> str:
    """Change the file in place; returns the name of what was done."""
    choices: list[Mutation] = [_flip, _truncate, _copy_block, _blank_block]
    aware: Mutation | None = {
        ".nir": mutate_hdf5, ".net": mutate_hdf5, ".h5": mutate_hdf5, ".toml": _toml, ".onnx": _onnx,
        ".h5.gz": _unpacked, ".npz": _member,
    }.get(ending)  # fmt: skip
    if aware is not None and rng.random() < 0.5:
        aware(path, rng)
        return aware.__name__.strip("_")
    chosen = choices[int(rng.integers(len(choices)))]
    chosen(path, rng)
    return chosen.__name__.strip("_")


def _flip(path: Path, rng: Generator) -> None:
    path.write_bytes(_flipped(path.read_bytes(), rng))


def _flipped(old: bytes, rng: Generator) -> bytes:
    content = np.frombuffer(old, np.uint8).copy()
    at = rng.integers(0, content.size, int(rng.integers(1, 9)))
    content[at] = np.where(rng.random(at.size) < 0.3, 255, rng.integers(0, 256, at.size))
    return content.tobytes()


def _truncate(path: Path, rng: Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(0, len(content)))])


def _copy_block(path: Path, rng: Generator) -> None:
    content = bytearray(path.read_bytes())
    size = int(rng.integers(1, min(512, len(content)) + 1))
    source, goal = (int(k) for k in rng.integers(0, len(content) - size + 1, 2))
    content[goal : goal + size] = content[source : source + size]
    path.write_bytes(bytes(content))


def _blank_block(path: Path, rng: Generator) -> None:
    content = bytearray(path.read_bytes())
    size = int(rng.integers(1, min(64, len(content)) + 1))
    at = int(rng.integers(0, len(content) - size + 1))
    content[at : at + size] = bytes([int(rng.choice([0, 255]))]) * size
    path.write_bytes(bytes(content))


def _unpacked(path: Path, rng: Generator) -> None:
    """What is inside the gzip changes."""
    inner = path.with_suffix(".inner.h5")
    inner.write_bytes(gzip.decompress(path.read_bytes()))
    mutate(inner, ".h5", rng)
    path.write_bytes(gzip.compress(inner.read_bytes(), compresslevel=1))
    inner.unlink()


def _member(path: Path, rng: Generator) -> None:
    """One array of the zip changes: its header, its values, or its kind."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = str(rng.choice(list(members)))
    how = int(rng.integers(5))
    if how == 0:
        members[name] = bytes(_flipped(members[name], rng))
    elif how == 1:
        head, tail = members[name][:128], members[name][128:]
        members[name] = bytes(_flipped(head, rng)) + tail
    elif how == 2:
        members[name] = members[name][: int(rng.integers(0, len(members[name])))]
    elif how == 3:
        members[name] = members[str(rng.choice(list(members)))]
    else:
        shape = rng.choice(["(99999999999,)", "(-1,)", "()", "(2, 3)", "(0,)"])
        kind = rng.choice(["<f8", "|O", "<U9", "<c16", ">f4", "<i8", "|b1", "<U0", "<M8[s]"])
        head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        members[name] = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + b"\0" * 64
    kind = zipfile.ZIP_DEFLATED if rng.random() < 0.9 else zipfile.ZIP_LZMA
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


_TOKEN = re.compile(rf"{tokenize.Number}|\"[^\"]*\"|[A-Za-z_]+|\S")


def _toml(path: Path, rng: Generator) -> None:
    text = path.read_text()
    for _ in range(int(rng.integers(1, 4))):
        found = list(_TOKEN.finditer(text))
        if not found:
            break
        start, end = found[int(rng.integers(len(found)))].span()
        other = found[int(rng.integers(len(found)))].group()
        word = (str(rng.choice(WORDS)), other, "", f"{text[start:end]}\n{text[start:end]}")
        text = text[:start] + word[int(rng.choice(4, p=[0.6, 0.2, 0.1, 0.1]))] + text[end:]
    path.write_text(text)


def _onnx(path: Path, rng: Generator) -> None:
    """Change random fields of the protobuf messages: numbers, names, repeated entries."""
    import onnx

    model = onnx.load(path)
    for _ in range(int(rng.integers(1, 4))):
        messages = [model]
        for message in messages:  # grows while it is walked
            for field, value in message.ListFields():
                if field.type == field.TYPE_MESSAGE:
                    messages += list(value) if _repeated(field) else [value]
        message = messages[int(rng.integers(len(messages)))]
        fields = message.ListFields()
        if fields:
            _change(message, fields[int(rng.integers(len(fields)))][0], rng)
    path.write_bytes(model.SerializeToString())


def _repeated(field) -> bool:
    """Whether a field is a list, as the old and the new protobuf say it."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return field.label == field.LABEL_REPEATED


def _change(message, field, rng: Generator) -> None:
    repeated = _repeated(field)
    value = getattr(message, field.name)
    if repeated and rng.random() < 0.5 and len(value):
        at = int(rng.integers(len(value)))
        if rng.random() < 0.5:
            del value[at]
        elif field.type == field.TYPE_MESSAGE:
            value.add().CopyFrom(value[at])
        else:
            value.append(value[at])
    elif field.type == field.TYPE_MESSAGE or rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        new = _scalar(field, rng)
        if repeated:
            value[int(rng.integers(len(value)))] = new
        else:
            setattr(message, field.name, new)


def _scalar(field, rng: Generator) -> object:
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING:
        text = str(rng.choice(["", "x", "Relu", "Loop", "../../x", "Scan", "w", "\x1b[31m", "Ä" * 300]))
        return text.encode() if field.type == field.TYPE_BYTES else text
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return float(rng.choice([np.nan, np.inf, -1.0, 0.0, 1e30]))
    if kind == field.CPPTYPE_ENUM:
        return int(rng.choice([0, 1, 2, 7, 8, 11]))
    small = kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32)
    return int(rng.choice([0, 1, 2, 3, 17, 2**31 - 1 if small else 2**62]))
