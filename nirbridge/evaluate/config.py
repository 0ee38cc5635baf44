"""Training configurations: TOML with the sections [graph], [data], [trainer], [run] and [sweep]."""

from __future__ import annotations

import re
import reprlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nirbridge.errors import BadInput, UsageError
from nirbridge.plugins import build, load
from nirbridge.protocols import Trainer

MAX_BYTES = 1 << 20
GENERATED = re.compile(r"yin-yang:(train|validation|test):[1-9][0-9]{0,6}(:[1-9][0-9]{0,4})?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DelayLine(_Strict):
    """``copies`` of the input, each ``step`` [s] later than the one before: part of the network."""

    copies: int = Field(gt=0, le=1000)
    step: float = Field(gt=0, le=1e3)


class GraphSection(_Strict):
    """Where training starts: a file, or a stack of layers with normal weights (`graph.stack.layered`).

    tau_mem, tau_syn, dt in seconds; dt is needed for a generated start and may not contradict a file's.
    output: ``spikes`` generates a read-out that spikes, as first-spike training needs it. For trainers whose
    spikes take a step a hop (``spinnaker2``) weights are then N(mean, sd)/√sources with that form's own means
    (`graph.spiking_stack`); ``eventprop`` delivers at once and starts from N(mean, sd) as for ``values``.
    tau_shape: of gamma distributions around tau_mem and tau_syn, from which hidden neurons draw theirs;
    without it all are equal. delay_line: between input and first layer; its branches share input_mean and
    input_sd.
    """

    file: Path | None = None
    dt: float | None = Field(default=None, ge=1e-6, le=1.0)
    hidden: list[Annotated[int, Field(gt=0, le=1_000_000)]] = []
    output: Literal["values", "spikes"] = "values"
    recurrent: bool = False
    tau_mem: float = Field(default=0.02, ge=1e-6, le=1e3)
    tau_syn: float = Field(default=0.005, ge=1e-6, le=1e3)
    tau_shape: float | None = Field(default=None, gt=0, le=1e6)
    threshold: float = Field(default=1.0, gt=0)
    input_mean: float = 0.03
    input_sd: float = Field(default=0.01, ge=0)
    hidden_mean: float = 0.0
    hidden_sd: float = Field(default=0.1, ge=0)
    recurrent_sd: float = Field(default=0.02, ge=0)
    output_mean: float = 0.0
    output_sd: float = Field(default=0.03, ge=0)
    delay_line: DelayLine | None = None


class DataSection(_Strict):
    """Data files, the length of every sample [s], the number of inputs, augmentation.

    A file, or ``yin-yang:SPLIT:N`` for N generated samples of the split train, validation or test;
    ``yin-yang:SPLIT:N:T`` puts them on T steps of 1 ms, the largest value first. latency: files hold images,
    whose values in [0, 1] fire once each within so many seconds (`nirbridge.data.Latency`). groups: what of
    an HDF5 file tells samples apart. hold_out: so many last samples of train, or those of the listed groups,
    validate in place of valid and are not trained on: to choose options by.
    Relative paths are taken from the configuration's folder, then from the current one. How training
    samples are varied, in this order, each off at 0 (see `nirbridge.data`): blend, share of samples mixed
    with another of their class; stretch, of the time by at most this share; shift, by U{−shift … shift}
    channels a sample; swap, chance of a pair of neighbouring channels; jitter [channels] and jitter_time [s],
    standard deviations for each spike; drop, chance of a spike.
    """

    train: str
    valid: str | None = None
    duration: float | None = Field(default=None, gt=0, le=1e4)
    inputs: int | None = Field(default=None, gt=0, le=10_000_000)
    latency: float | None = Field(default=None, gt=0, le=1e4)
    groups: Literal["speaker", "take"] = "speaker"
    hold_out: Annotated[int, Field(gt=0)] | Annotated[list[int], Field(min_length=1)] | None = None
    blend: float = Field(default=0, ge=0, le=1)
    stretch: float = Field(default=0, ge=0, lt=1)
    shift: int = Field(default=0, ge=0)
    swap: float = Field(default=0, ge=0, le=1)
    jitter: float = Field(default=0, ge=0)
    jitter_time: float = Field(default=0, ge=0)
    drop: float = Field(default=0, ge=0, lt=1)

    @field_validator("train", "valid")
    @classmethod
    def _is_a_file_or_generated(cls, value: str | None) -> str | None:
        if value is not None and (
            not value or (value.startswith("yin-yang:") and not GENERATED.fullmatch(value))
        ):
            raise ValueError("expected a file, or yin-yang:SPLIT:N[:T] with SPLIT train, validation or test")
        return value


class TrainerSection(BaseModel):
    """The trainer's name; every other key is one of its options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = "eventprop"


class RunSection(_Strict):
    """Seed of all random numbers."""

    seed: int = Field(default=0, ge=0)


class SweepSection(_Strict):
    """What `nirbridge sweep` repeats the training for; `nirbridge train` does not read it.

    grid: ``"section.key" = [values]``, every combination is a point. seeds: of each point; the one in [run]
    where none is given. leave_out: ``groups`` trains once for each group of the data (such as a speaker)
    without it and tests on it; else the test is on [data] valid. files: samples beside those of [data] train
    and valid that leaving out draws on.
    """

    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    seeds: list[Annotated[int, Field(ge=0)]] = []
    leave_out: Literal["none", "groups"] = "none"
    files: list[str] = []


class Config(_Strict):
    """A training (schema ``training-config``)."""

    graph: GraphSection = GraphSection()
    data: DataSection
    trainer: TrainerSection = TrainerSection()
    run: RunSection = RunSection()
    sweep: SweepSection = SweepSection()


def read_config(
    path: Path, *, overrides: Sequence[str] = (), seed: int | None = None, trainer: str | None = None
) -> Config:
    """Read and check a configuration; ``overrides`` are texts ``section.key=value`` (a TOML value).

    trainer: name that replaces the file's; the options in its section stay.

    Raises `BadInput` (NB703) where the file is no TOML, has an unknown key or a value out of range,
    `UsageError` (NB704) where an override does.
    """
    raw = _parsed(path)
    if trainer is not None:
        load("trainers", trainer)  # an unknown name is the option's fault, not the file's
        if isinstance(raw.setdefault("trainer", {}), dict):
            raw["trainer"]["name"] = trainer
    in_file = _validated(raw, BadInput, "NB703", str(path))
    try:
        trainer_of(in_file)
    except UsageError as error:
        raise BadInput(f"{path}: section [trainer]: {error.message}", code="NB703", fix=error.fix) from error
    for text in overrides:
        _override(raw, text)
    if seed is not None:
        raw.setdefault("run", {})["seed"] = seed
    checked = _validated(raw, UsageError, "NB704", "--set" if overrides else "--seed")
    trainer_of(checked)
    return checked


def _parsed(path: Path) -> dict[str, Any]:
    """The file as nested dicts; raises `BadInput` (NB703) for what is too large, too deep or no TOML."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            what = f"{path}: is larger than {MAX_BYTES:,} bytes, expected a configuration"
            raise BadInput(what, code="NB703", fix="name the right file")
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError as error:
        what = f"{path}: not a TOML file: values nest too deep to be read"
        raise BadInput(what, code="NB703", fix="correct the file") from error
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, a number of 5000 digits
        raise BadInput(f"{path}: not a TOML file: {error}", code="NB703", fix="correct the file") from error


def trainer_of(config: Config) -> Trainer:
    """The trainer that a configuration names, with its options; raises `UsageError` for wrong ones."""
    name = config.trainer.name
    trainer: Trainer = build(load("trainers", name), config.trainer.model_extra or {}, name=name)
    return trainer


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values of ``section.key``; raises `BadInput` (NB703) for wrong ones."""
    raw = config.model_dump()
    for name, value in values.items():
        section, dot, key = name.partition(".")
        if not dot or not isinstance(raw.get(section), dict):
            raise BadInput(
                f"[sweep] grid names '{name}', expected section.key",
                code="NB703",
                fix='for example "trainer.lr" = [1e-3, 2e-3]',
            )
        raw[section][key] = value
    checked = _validated(raw, BadInput, "NB703", "[sweep] grid")
    try:
        trainer_of(checked)
    except UsageError as error:
        raise BadInput(f"[sweep] grid: {error.message}", code="NB703", fix=error.fix) from error
    return checked


def _validated(raw: dict[str, Any], kind: type[BadInput | UsageError], code: str, where: str) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            section = first["loc"][0] if len(first["loc"]) > 1 else None
            known = _known(str(section) if section is not None else None)
            message = f"{where}: unknown key '{at}'"
            fix = f"use one of {', '.join(known)}"
        else:
            message = f"{where}: key '{at}': {first['msg']}, got {reprlib.repr(first.get('input'))}"
            fix = "correct the value"
        raise kind(message, code=code, fix=fix) from error


def _known(section: str | None) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "graph": GraphSection,
        "data": DataSection,
        "trainer": TrainerSection,
        "run": RunSection,
        "sweep": SweepSection,
    }
    return sorted(sections[section].model_fields) if section in sections else sorted(sections)


def _override(raw: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not equals or not dot or not name:
        raise UsageError(
            f"--set '{text}' is not section.key=value", code="NB704", fix="for example --set trainer.epochs=5"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    raw.setdefault(section, {})
    if not isinstance(raw[section], dict):
        raise UsageError(f"--set '{text}': '{section}' is no section", code="NB704")
    raw[section][name] = parsed
