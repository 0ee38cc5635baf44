"""How the rules word a finding: node, type, field, first offender, expected value, fix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Finding, Level


def found(code: str, level: Level, node: str | None, kind: str, what: str, fix: str | None = None) -> Finding:
    """A finding about a node (dotted name, type ``kind``), or the whole graph where node is None."""
    place = f"node '{node}' ({kind})" if node else "the graph"
    return Finding(code=code, level=level, node=node or None, message=f"{place}: {what}", fix=fix)


def offender(field: str, values: NDArray[Any], wrong: NDArray[np.bool_], expected: str) -> str:
    """The first offending element in words: ``tau[3] is -0.2, expected > 0 (14 of 256)``.

    values, wrong: arrays of one shape; at least one element of ``wrong`` is set.
    """
    at = int(np.argmax(wrong))
    value = values.reshape(-1)[at]
    shown = f"{value:.9g}" if isinstance(value, np.number) else str(value)
    index = ", ".join(str(int(k)) for k in np.unravel_index(at, values.shape)) if values.ndim else ""
    count = f" ({int(wrong.sum())} of {wrong.size})" if wrong.size > 1 else ""
    return f"{field}{f'[{index}]' if index else ''} is {shown}, expected {expected}{count}"
