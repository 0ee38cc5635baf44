"""Weights and coefficients: stored once around the `Scan`, read inside it by their name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, numpy_helper

from nirbridge.errors import Finding, Unsupported
from nirbridge.graph.quantization import Quantization, quantization_of
from nirbridge.io.onnx_out.branches import Branch
from nirbridge.io.onnx_out.ops import Ops

Shape = tuple[int, ...]
Key = tuple[str, ...]


@dataclass(slots=True)
class Parameters:
    """Initialisers of the outer graph and the nodes that make weights of them, each made once.

    A key is the node that something belongs to and what it is; joined by dots it becomes a name.
    batch: name of the int64 tensor [B]. branches: weight nodes that share one array (`branches_of`).
    """

    ops: Ops
    batch: str
    branches: Mapping[str, Branch]
    tensors: list[TensorProto] = field(default_factory=list)
    made: dict[Key, str] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all initialisers."""
        return sum(len(tensor.raw_data) for tensor in self.tensors)

    def stored(self, key: Key, array: NDArray[Any]) -> str:
        """An initialiser that holds this array as it is."""
        if key not in self.made:
            name = self.made[key] = self.ops.name(".".join(key))
            self.tensors.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return self.made[key]

    def floats(self, key: Key, array: ArrayLike) -> str:
        """A float32 initialiser that broadcasts to the array: one number where all are equal."""
        full = np.asarray(array, dtype=np.float32)
        one = full.reshape(-1)[:1]
        return self.stored(key, one.reshape(()) if one.size and np.all(full == one) else full)

    def integers(self, key: Key, values: ArrayLike) -> str:
        """An int64 initialiser: a shape, or places on an axis."""
        return self.stored(key, np.asarray(values, dtype=np.int64))

    def filled(self, name: str, shape: Shape, start: NDArray[np.float32]) -> str:
        """(B, *shape) with ``start`` in every sample, under this very name."""
        sizes = self.integers((f"shape {shape}",), shape)
        full = self.ops.add("Concat", [self.batch, sizes], f"{name}.shape", axis=0)
        if np.any(start):
            return self.ops.add("Expand", [self.floats((name, "start"), start), full], name)
        return self.ops.add("ConstantOfShape", [full], name)

    def zeros(self, shape: Shape) -> str:
        """(B, *shape) of zeros: what arrives where nothing does."""
        key = (f"zeros {shape}",)
        if key not in self.made:
            self.made[key] = self.filled(key[0], shape, np.zeros(shape, np.float32))
        return self.made[key]

    def weight(self, name: str, node: nir.NIRNode) -> str:
        """The float32 weight of a node; int8 with its scale in the file where the node is quantised."""
        key = (name, "weight")
        if key not in self.made:
            branch = self.branches.get(name)
            if branch is None:
                weight = np.asarray(getattr(node, "weight", None), np.float32)
                self.made[key] = self._array(name, weight, quantization_of(node, name))
            else:
                self.made[key] = self._branch(name, branch)
        return self.made[key]

    def _branch(self, name: str, branch: Branch) -> str:
        """The shared array with zeros where another branch has its weights."""
        whole, place = (branch.stem, "weight"), (branch.stem, "branch", "int32")
        if whole not in self.made:
            self.made[whole] = self._array(branch.stem, branch.weight, branch.quantization)
            small = self.stored((branch.stem, "branch"), branch.index)
            self.made[place] = self.ops.add("Cast", [small], ".".join(place), to=TensorProto.INT32)
        number = self.stored((name, "number"), np.array(branch.number, np.int32))
        here = self.ops.add("Equal", [self.made[place], number], f"{name}.here")
        zero = self.floats(("zero",), 0.0)
        return self.ops.add("Where", [here, self.made[whole], zero], f"{name}.weight")

    def _array(self, name: str, weight: NDArray[np.float32], q: Quantization | None) -> str:
        """A weight in floats, or its integers and their scale."""
        if q is None:
            return self.stored((name, "weight"), weight)
        if not -128 <= q.zero_point <= 127:
            message = f"node '{name}': zero_point {q.zero_point} of its int8 weight is beyond int8"
            fix = "quantise again: nirbridge convert IN OUT --pass quantize-weights"
            finding = Finding(code="NB212", level="error", node=name, message=message, fix=fix)
            raise Unsupported(message, code="NB212", fix=fix, findings=[finding])
        per_axis = q.axis >= 0
        scale = q.scale if per_axis else q.scale.reshape(())
        inputs = [
            self.stored((name, "weight", "int8"), q.q),
            self.stored((name, "weight", "scale"), scale),
            self.stored((name, "weight", "zero_point"), np.full(scale.shape, q.zero_point, np.int8)),
        ]
        axis = {"axis": q.axis} if per_axis else {}
        return self.ops.add("DequantizeLinear", inputs, f"{name}.weight", **axis)
