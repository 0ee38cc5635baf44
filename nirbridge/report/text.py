"""Text from files made safe to show: no control characters, no characters that reorder a line."""

from __future__ import annotations

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def printable(text: str) -> str:
    """The text with control and direction characters replaced; line ends stay."""
    return "".join("\ufffd" if _hidden(c) else c for c in text)


def _hidden(c: str) -> bool:
    return c != "\n" and (c < " " or "\x7f" <= c <= "\x9f" or c in _BIDI)
