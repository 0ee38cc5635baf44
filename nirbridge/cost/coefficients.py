"""A device's coefficients: a cited JSON file inside its package, refused where a source is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nirbridge.cost.types import Basis
from nirbridge.errors import BadInput

SCHEMA = "nirbridge.coefficients.v1"

_SI: dict[str, float] = {
    **{f"{prefix}{unit}": factor for unit in ("J", "W", "s", "Hz") for prefix, factor in
       {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "k": 1e3, "M": 1e6, "G": 1e9}.items()},
    **dict.fromkeys(("1", "cycle", "byte", "V", "neuron", "synapse", "core"), 1.0),
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Source(_Strict):
    """Where a figure was read: a citation that a reader can follow."""

    cite: str
    doi: str | None = None
    access: str | None = None
    note: str | None = None


class Coefficient(_Strict):
    """One figure with unit, basis and source; ``from`` is the arithmetic on published values."""

    value: float
    low: float | None = None
    high: float | None = None
    unit: str
    basis: Basis
    source: str
    from_: str | None = Field(default=None, alias="from")
    note: str | None = None
    counts: str | None = None


class Constraint(_Strict):
    """A linear equation that ties coefficients: ``a + 2*b == 3``, in the file's own units."""

    expr: str
    source: str


class Fit(_Strict):
    """How a fitted quantity came about, with its residuals model/published − 1 in percent.

    ``leave_one_out_band_pct`` is the band to print: the largest |published/left-out model − 1|.
    """

    quantity: str
    rows: list[str]
    method: str
    residual_pct: list[float] = []
    leave_one_out_pct: list[float] = []
    leave_one_out_band_pct: list[float] = []
    held_out: list[dict[str, Any]] = []


class Check(_Strict):
    """A published figure that the model can be held against."""

    id: str
    published: tuple[float, float]
    unit: str
    role: Literal["calibration", "consistency", "validation"]
    chosen_after_seeing: bool = False
    quantity: str | None = None
    source: str | None = None
    note: str | None = None
    inputs: dict[str, Any] = {}


class Coefficients(_Strict):
    """The coefficients of one device (schema `nirbridge.coefficients.v1`)."""

    schema_: Literal["nirbridge.coefficients.v1"] = Field(alias="schema")
    device: str
    version: str
    sources: dict[str, Source]
    coefficients: dict[str, Coefficient]
    constraints: list[Constraint] = []
    corners: dict[str, dict[str, float]] = {}
    scenario: dict[str, Any] = {}
    fits: list[Fit] = []
    checks: list[Check] = []

    @model_validator(mode="after")
    def _sources_are_named(self) -> Coefficients:
        known = {*self.sources, "choice"}
        for name, item in self.coefficients.items():
            if item.source not in known:
                raise ValueError(f"coefficient '{name}' names the unknown source '{item.source}'")
            if item.unit not in _SI:
                raise ValueError(f"coefficient '{name}' has the unknown unit '{item.unit}'")
        solved = {_solved_id(c, self.coefficients) for c in self.constraints}
        for corner, values in self.corners.items():
            for name in values:
                if name not in self.coefficients and name not in solved:
                    raise ValueError(f"corner '{corner}' sets '{name}', which has no entry")
        return self

    def corner_values(self, overrides: Mapping[str, float] | None = None) -> dict[str, dict[str, float]]:
        """SI value of every coefficient in every corner; ``central`` is always among them.

        ``overrides`` (file units) replace a value in all corners. Raises `BadInput` (NB702) for an
        unknown id and where an override breaks a constraint.
        """
        overrides = dict(overrides or {})
        for name in overrides:
            if name not in self.coefficients:
                raise BadInput(
                    f"coefficient '{name}' is not known for {self.device}",
                    code="NB702",
                    fix=f"use one of {', '.join(self.coefficients)}",
                )
        base = {name: item.value for name, item in self.coefficients.items()}
        units = {name: _SI[item.unit] for name, item in self.coefficients.items()}
        result = {}
        for corner in {"central": {}, **self.corners}:
            raw = {**base, **self.corners.get(corner, {}), **overrides}
            for constraint in self.constraints:
                _solve(constraint, raw, self.coefficients)
            result[corner] = {name: value * units.get(name, 1.0) for name, value in raw.items()}
        return result

    def basis_of(self, name: str) -> Basis:
        """Basis of a coefficient; a solved one takes the worst of the ids that it follows from."""
        if name in self.coefficients:
            return self.coefficients[name].basis
        others = [self.coefficients[key].basis for key in _linear(self._solving(name))[0] if key != name]
        return min(others, key=get_args(Basis).index)

    def source_of(self, name: str) -> str:
        """Citation of a coefficient, or the constraint that it follows from."""
        if name in self.coefficients:
            key = self.coefficients[name].source
            return "our choice" if key == "choice" else self.sources[key].cite
        return f"follows from {self._solving(name).expr}"

    def _solving(self, name: str) -> Constraint:
        for constraint in self.constraints:
            if _solved_id(constraint, self.coefficients) == name:
                return constraint
        raise KeyError(name)


_TERM = re.compile(r"\s*([+-]?)\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*\*\s*)?([A-Za-z_]\w*)\s*")


def _linear(constraint: Constraint) -> tuple[dict[str, float], float]:
    left, _, right = constraint.expr.partition("==")
    factors: dict[str, float] = {}
    at = 0
    while at < len(left):
        match = _TERM.match(left, at)
        if match is None or match.end() == at:
            raise ValueError(f"constraint '{constraint.expr}' is not a sum of factor*id")
        sign, factor, name = match.groups()
        factors[name] = factors.get(name, 0.0) + (-1.0 if sign == "-" else 1.0) * float(factor or 1.0)
        at = match.end()
    return factors, float(right)


def _solved_id(constraint: Constraint, entries: Mapping[str, Coefficient]) -> str | None:
    open_ids = [name for name in _linear(constraint)[0] if name not in entries]
    if len(open_ids) > 1:
        raise ValueError(f"constraint '{constraint.expr}' leaves {', '.join(open_ids)} open, expected one")
    return open_ids[0] if open_ids else None


def _solve(constraint: Constraint, raw: dict[str, float], entries: Mapping[str, Coefficient]) -> None:
    factors, total = _linear(constraint)
    name = _solved_id(constraint, entries)
    known = sum(factor * raw[key] for key, factor in factors.items() if key != name)
    if name is not None:
        raw[name] = (total - known) / factors[name]
    elif abs(known - total) > 1e-9 * abs(total):
        raise BadInput(
            f"the overrides break the constraint {constraint.expr}: the left side is {known:g}",
            code="NB702",
            fix="change the other coefficients of the constraint with it",
        )


def load(package: str) -> Coefficients:
    """The file ``coefficients.json`` inside an installed package."""
    text = resources.files(package).joinpath("coefficients.json").read_text(encoding="utf-8")
    return _parse(text, f"{package}/coefficients.json")


def load_file(path: Path) -> Coefficients:
    """A user's own coefficients file; raises `BadInput` (NB702) where it breaks the schema."""
    return _parse(path.read_text(encoding="utf-8"), str(path))


def _parse(text: str, where: str) -> Coefficients:
    try:
        return Coefficients.model_validate(json.loads(text))
    except (ValidationError, ValueError) as error:
        raise BadInput(
            f"{where}: not a coefficients file of schema {SCHEMA}: {error}",
            code="NB702",
            fix="every coefficient needs value, unit, basis and source",
        ) from error
