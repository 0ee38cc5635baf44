"""What the program knows about one of its codes: the row of a table and a page of its own."""

from __future__ import annotations

from dataclasses import dataclass

from nirbridge.errors import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One numbered rule.

    levels: those with which it is reported, the gravest first. wrong: what is wrong, one line.
    meaning: why it matters, a few sentences. fix: the next step. mends: `check --fix` repairs it.
    example: Python lines that break the rule in the graph `BASE` (`nodes`, `edges` and `metadata` are
    in reach), or, where `reader` names one, break it for that reader; None where no graph can show it.
    shown: the same in words, where there is no example.
    """

    code: str
    levels: tuple[Level, ...]
    wrong: str
    meaning: str
    fix: str
    example: str | None = None
    shown: str | None = None
    reader: str | None = None
    mends: bool = False

    @property
    def level(self) -> Level:
        """The gravest level that the rule is reported with."""
        return self.levels[0]


ERROR: tuple[Level, ...] = ("error",)
WARNING: tuple[Level, ...] = ("warning",)
INFO: tuple[Level, ...] = ("info",)
EITHER: tuple[Level, ...] = ("error", "warning")

BASE = """\
one = np.ones(2)
nodes = {
    "input": nir.Input(np.array([2])),
    "w": nir.Linear(np.ones((2, 2))),
    "hidden": nir.LIF(tau=0.02 * one, r=one, v_leak=0 * one, v_threshold=one),
    "output": nir.Output(np.array([2])),
}
edges = [("input", "w"), ("w", "hidden"), ("hidden", "output")]
metadata = {}
"""
"""The sound graph that every example breaks."""
