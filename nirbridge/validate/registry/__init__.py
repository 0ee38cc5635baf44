"""Every code that the program prints: the one table behind `check`, `rules`, SARIF and the documentation.

A new code is one more `Rule` in the file of its family; docs/generate.py then writes its row and page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nirbridge.validate.registry.data import DATA
from nirbridge.validate.registry.files import FILES, PROGRAM
from nirbridge.validate.registry.graphs import GRAPHS
from nirbridge.validate.registry.metadata import METADATA
from nirbridge.validate.registry.options import OPTIONS, PLUGINS
from nirbridge.validate.registry.rule import BASE, Rule
from nirbridge.validate.registry.targets import PLACEMENT, TARGETS
from nirbridge.validate.registry.times import TIMES
from nirbridge.validate.registry.values import VALUES


@dataclass(frozen=True, slots=True)
class Family:
    """Rules about one thing, with a sentence that introduces them."""

    title: str
    introduction: str
    rules: tuple[Rule, ...]


FAMILIES: tuple[Family, ...] = (
    Family("The program", "", PROGRAM),
    Family(
        "Files",
        "A file is walked before anything is read from it; what could lead out of it or blow up is refused.",
        FILES,
    ),
    Family(
        "Graphs",
        "``nirbridge check`` lists all of these at once; ``--fix`` mends what has exactly one repair.",
        tuple(sorted((*GRAPHS, *VALUES), key=lambda rule: rule.code)),
    ),
    Family(
        "Targets and readers",
        "What a graph asks for and a target, pass, trainer or another framework's reader does not do: "
        "``nirbridge check`` with ``--target`` or ``--reader``.",
        TARGETS,
    ),
    Family("Time", "", TIMES),
    Family("Metadata", "", METADATA),
    Family("Data", "", DATA),
    Family(
        "Placement",
        "The error carries the placement: every limit with its headroom. Each target counts its own limits.",
        PLACEMENT,
    ),
    Family("Options and configurations", "", OPTIONS),
    Family("Plugins", "", PLUGINS),
)

RULES: Mapping[str, Rule] = {rule.code: rule for family in FAMILIES for rule in family.rules}
"""Every rule by its code, in the order of the codes."""

__all__ = ["BASE", "FAMILIES", "RULES", "Family", "Rule"]
