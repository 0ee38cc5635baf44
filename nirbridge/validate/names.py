"""Which names may stand in a file: node names and metadata keys."""

from __future__ import annotations

import unicodedata

MAX_NAME = 255


def name_problem(name: str, max_name: int = MAX_NAME) -> str | None:
    """What keeps a name out of a file and off a terminal, or None. ``max_name`` in bytes of UTF-8."""
    if not name or name == ".":
        return "is empty" if not name else "means the group itself"
    if "/" in name:
        return "contains '/'"
    for character in name:
        category = unicodedata.category(character)
        if category[0] == "C" or category in ("Zl", "Zp"):
            return f"contains the control character U+{ord(character):04X}"
    size = len(name.encode("utf-8"))
    return f"has {size} bytes, the limit is {max_name}" if size > max_name else None
