"""Passes, targets, trainers and formats that are installed, found by name through entry points.

Listing imports nothing; a plugin's module is imported when it is asked for. Its class is a frozen
dataclass whose fields are its options: ``quantize-weights:bits=8,scheme=mse`` builds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from nirbridge.errors import NirbridgeError, PluginError, UsageError

Group = Literal["passes", "targets", "trainers", "formats"]
GROUPS: tuple[Group, ...] = get_args(Group)
REQUIRED = object()

_SINGULAR = {"passes": "pass", "targets": "target", "trainers": "trainer", "formats": "format"}
MANY = 12  # options that are named without types and defaults
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin, not imported yet: its name, group, package and ``module:attribute``."""

    name: str
    group: Group
    package: str
    version: str
    value: str

    def load(self) -> Any:
        """Import the plugin's class; raises `PluginError` (NB901) with package and cause."""
        try:
            return EntryPoint(name=self.name, value=self.value, group=f"nirbridge.{self.group}").load()
        except NirbridgeError:
            raise
        except Exception as cause:
            raise PluginError(
                f"{_SINGULAR[self.group]} '{self.name}' of package '{self.package}' {self.version} "
                f"cannot be loaded from {self.value}: {type(cause).__name__}: {cause}",
                code="NB901",
                fix=f"reinstall or update {self.package}, or uninstall it",
            ) from cause


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a plugin: its name, its type in words, its default (`REQUIRED` if it has none)."""

    name: str
    type: str
    default: Any

    def __str__(self) -> str:
        default = "required" if self.default is REQUIRED else _text(self.default)
        return f"{self.name}={default} ({self.type})"


def available(group: Group) -> tuple[Plugin, ...]:
    """The installed plugins of a group, by name. Nothing is imported."""
    found = []
    for point in entry_points(group=f"nirbridge.{group}"):
        package = point.dist.name if point.dist is not None else "unknown"
        version = point.dist.version if point.dist is not None else ""
        found.append(Plugin(point.name, group, package, version, point.value))
    return tuple(sorted(found, key=lambda p: (p.name, p.package)))


def meant(name: str, known: Sequence[str]) -> str:
    """``, did you mean 'x'?`` where a known name is near, else nothing."""
    near = _near(name, known)
    return f", did you mean '{near}'?" if near else ""


def _near(name: str, known: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1)), None)


def load(group: Group, name: str) -> Any:
    """The class of the named plugin.

    Raises `UsageError` (NB902) for an unknown name, `PluginError` for one that fails to load (NB901)
    or that two packages offer (NB903).
    """
    plugins = available(group)
    matches = [plugin for plugin in plugins if plugin.name == name]
    if not matches:
        known = sorted({plugin.name for plugin in plugins})
        raise UsageError(
            f"unknown {_SINGULAR[group]} '{name}'{meant(name, known)}",
            code="NB902",
            fix=f"use one of: {', '.join(known)}" if known else "install a package that offers one",
        )
    if len({match.value for match in matches}) > 1 or len({match.package for match in matches}) > 1:
        packages = ", ".join(sorted({match.package for match in matches}))
        raise PluginError(
            f"{_SINGULAR[group]} '{name}' is offered by {len(matches)} packages: {packages}",
            code="NB903",
            fix="uninstall all but one of them",
        )
    return matches[0].load()


def parse(group: Group, spec: str) -> Any:
    """Build a plugin from ``name`` or ``name:field=value,field=value`` (values hold no comma).

    Raises `UsageError` (NB701) for an unknown or repeated option and a value of another type, and
    what `load` raises.
    """
    name, _, tail = spec.partition(":")
    name = name.strip()
    cls = load(group, name)
    options: dict[str, str] = {}
    for part in (piece.strip() for piece in tail.split(",")) if tail.strip() else ():
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise _refused(name, cls, f"'{part}' is no option, expected field=value")
        if key in options:
            raise _refused(name, cls, f"option '{key}' is given twice", key)
        options[key] = value.strip()
    return build(cls, options, name=name)


def build(cls: Any, options: Mapping[str, Any], *, name: str = "") -> Any:
    """An instance of a plugin's class; strings are read as the field's type, other values checked.

    Raises `UsageError` (NB701) as `parse` does.
    """
    name = name or str(getattr(cls, "name", getattr(cls, "__name__", cls)))
    hints = _hints(cls, name)
    values = {}
    for key, value in options.items():
        if key not in hints:
            known = list(hints)
            raise _refused(name, cls, f"no option '{key}'{meant(key, known)}", _near(key, known))
        values[key] = _read(hints[key], value, name, key, cls)
    for option in describe(cls):
        if option.default is REQUIRED and option.name not in values:
            raise _refused(name, cls, f"option '{option.name}' must be given", option.name)
    try:
        return cls(**values)
    except UsageError as error:
        error.fix = error.fix or _listing(name, cls)
        raise
    except NirbridgeError:
        raise
    except (ValueError, TypeError) as cause:
        raise _refused(name, cls, str(cause)) from cause


def describe(cls: Any) -> tuple[Option, ...]:
    """The options of a pass, target or trainer class, with types in words and defaults."""
    hints = _hints(cls, str(getattr(cls, "name", cls)))
    result = []
    for field in fields(cls):
        if not field.init:
            continue
        default = field.default
        if default is MISSING:
            default = REQUIRED if field.default_factory is MISSING else field.default_factory()
        result.append(Option(field.name, _type_text(hints[field.name]), default))
    return tuple(result)


def spec_of(thing: Any) -> str:
    """The text that `parse` turns back into ``thing``: options that differ from their defaults."""
    changed = [
        f"{option.name}={_text(getattr(thing, option.name))}"
        for option in describe(type(thing))
        if getattr(thing, option.name) != option.default
    ]
    return f"{thing.name}:{','.join(changed)}" if changed else str(thing.name)


def _hints(cls: Any, name: str) -> dict[str, Any]:
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise PluginError(
            f"'{name}' is {cls!r}, expected a frozen dataclass whose fields are its options",
            code="NB901",
            fix="correct the package that offers it",
        )
    try:
        hints = get_type_hints(cls)
    except Exception as cause:
        raise PluginError(
            f"the options of '{name}' have types that cannot be resolved: {cause}",
            code="NB901",
            fix="correct the package that offers it",
        ) from cause
    return {field.name: hints[field.name] for field in fields(cls) if field.init}


def _read(hint: Any, value: Any, name: str, key: str, cls: Any) -> Any:
    for choice in _choices(hint):
        found, result = _as(choice, value)
        if found:
            return result
    shown = repr(value) if isinstance(value, str) else _text(value)
    raise _refused(name, cls, f"option '{key}' is {shown}, expected {_type_text(hint)}", key)


def _choices(hint: Any) -> tuple[Any, ...]:
    """The members of a union, str last: it would swallow every word."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(sorted(get_args(hint), key=lambda member: member is str))
    return (hint,)


def _as(hint: Any, value: Any) -> tuple[bool, Any]:
    """Whether the value can be read as the type, and the result."""
    word = value.lower() if isinstance(value, str) else None
    if get_origin(hint) is Literal:
        for choice in get_args(hint):
            if value == choice and isinstance(value, bool) == isinstance(choice, bool):
                return True, choice
            if isinstance(value, str) and value == str(choice):
                return True, choice
        return False, None
    if hint is NoneType:
        return (value is None or word == "none"), None
    if hint is bool:
        return (word in _WORDS, _WORDS.get(word)) if word is not None else (isinstance(value, bool), value)
    if hint is str:
        return isinstance(value, str), value
    if hint not in (int, float) or isinstance(value, bool):
        return False, None
    try:
        if isinstance(value, str) or (hint is float and isinstance(value, int | float)):
            return True, hint(value)
    except ValueError:
        return False, None
    return isinstance(value, hint), value


def _type_text(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_type_text(member) for member in get_args(hint))
    if get_origin(hint) is Literal:
        return " | ".join(str(choice) for choice in get_args(hint))
    words = {NoneType: "none", bool: "true | false", int: "int", float: "float", str: "text"}
    return words.get(hint, str(getattr(hint, "__name__", hint)))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _refused(name: str, cls: Any, message: str, about: str | None = None) -> UsageError:
    return UsageError(f"{name}: {message}", code="NB701", fix=_listing(name, cls, about))


def _listing(name: str, cls: Any, about: str | None = None) -> str:
    """The options with types and defaults: the one that it is ``about``, else all; of many their names."""
    options = describe(cls)
    explained = any(plugin.name == name for group in GROUPS for plugin in available(group))
    for option in options:
        if option.name == about:
            return f"{option}" + (f"; nirbridge plugins {name} explains all options" if explained else "")
    if explained and len(options) > MANY:
        names = ", ".join(option.name for option in options)
        return f"options of {name}: {names}; nirbridge plugins {name} explains them"
    return f"options of {name}: {'; '.join(str(option) for option in options) or 'it has none'}"
