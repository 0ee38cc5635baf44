"""HTML and SVG elements from Python values: every text and attribute is escaped here and only here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from nirbridge.report.text import printable

VOID = frozenset({"br", "meta", "hr"})


class Markup(str):
    """Text that is markup already; only `h`, `raw` and `join` make it."""

    __slots__ = ()


def h(tag: str, *children: Any, **attributes: Any) -> Markup:
    """An element. Children that are no `Markup` are escaped; lists are flattened, None left out.

    Attributes: ``class_`` becomes class, ``stroke_width`` stroke-width; None and False are left out.
    """
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.removesuffix("_").replace("_", "-")
        parts.append(f" {name}" if value is True else f' {name}="{_text(value)}"')
    parts.append(">")
    if tag in VOID:
        return Markup("".join(parts))
    parts.append(join(children))
    parts.append(f"</{tag}>")
    return Markup("".join(parts))


def join(children: Iterable[Any]) -> Markup:
    """Children one after the other, escaped where they are no `Markup`."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(str(child))
        elif isinstance(child, list | tuple):
            parts.append(join(child))
        else:
            parts.append(_text(child))
    return Markup("".join(parts))


def raw(text: str) -> Markup:
    """Text of our own that is markup, such as the style sheet; never text from a file."""
    return Markup(text)


def anchor(kind: str, name: str) -> str:
    """An id for a link target, from any name: letters and digits stay, the rest becomes its number."""
    return kind + "-" + "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):x}_" for c in name)


def _text(value: Any) -> str:
    if isinstance(value, float):
        value = short(value)
    return escape(printable(str(value)), quote=True)


def short(value: float) -> str:
    """A coordinate with at most one decimal."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
