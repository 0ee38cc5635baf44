"""The pages of the numbered rules, from the registry: codes.rst and one page a code under rules/.

Where a rule has an example it is run here, and the page shows what `check` says about it.
"""

from __future__ import annotations

from textwrap import fill, indent
from typing import Any

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.graph import make
from nirbridge.validate import validate
from nirbridge.validate.reader_rules import check_reader
from nirbridge.validate.registry import BASE, FAMILIES, Family, Rule

CODES_HEAD = """\
Errors and exit codes
=====================

.. This page is written by docs/generate.py from nirbridge/validate/registry.

Every error says what was found (file, node, type, value with unit), what was expected and what to do
next. The code in brackets is stable; with ``--json`` findings carry it too, and ``nirbridge check
--sarif FILE`` writes them for a CI system. ``nirbridge rules`` prints the table below, ``nirbridge rules
CODE`` a page of it.

.. code-block:: text

   error[NB202] weight node 'w2' feeds 'a' and 'b', which need other scales
     fix: give each target its own copy of the weight node

===  =======================================================================
0    done
1    a bug
2    usage: an option, a name or a value on the command line
3    a bad file, graph or data set
4    not supported by the target, or it does not fit
5    a tolerance was exceeded
130  interrupted; a training has left a checkpoint
===  =======================================================================
"""
INDEX_HEAD = """\
The rules, one by one
=====================

.. The pages below are written by docs/generate.py from nirbridge/validate/registry.

The examples start from this graph, which breaks no rule:

.. code-block:: python

{base}

.. toctree::
   :maxdepth: 1

{entries}
"""


def pages() -> dict[str, str]:
    """The text of every page, by its path under docs/."""
    rules = [rule for family in FAMILIES for rule in family.rules]
    result = {f"rules/{rule.code}.rst": page(rule) for rule in rules}
    entries = "\n".join(f"   {rule.code}" for rule in rules)
    result["rules/index.rst"] = INDEX_HEAD.format(base=indent(BASE.rstrip(), "   "), entries=entries)
    result["codes.rst"] = "\n".join([CODES_HEAD, *map(table, FAMILIES)])
    return result


def table(family: Family) -> str:
    """The heading and the rows of one family."""
    rows = [(f":doc:`{rule.code} <rules/{rule.code}>`", rule.wrong) for rule in family.rules]
    wide = [max(len(row[k]) for row in rows) for k in (0, 1)]
    line = f"{'=' * wide[0]}  {'=' * wide[1]}"
    body = "\n".join(f"{code:{wide[0]}}  {wrong}" for code, wrong in rows)
    head = f"{family.title}\n{'-' * len(family.title)}\n\n"
    introduction = f"{family.introduction}\n\n" if family.introduction else ""
    return f"{head}{introduction}{line}\n{body}\n{line}\n"


def page(rule: Rule) -> str:
    """The page of one rule: what it means, an example that breaks it, the fix."""
    title = f"{rule.code}: {rule.wrong}"
    parts = [f"{title}\n{'=' * len(title)}", f"Level: {' or '.join(rule.levels)}.", _wrapped(rule.meaning)]
    parts.append("Example\n-------")
    if rule.example is None:
        parts.append(_wrapped(rule.shown or ""))
    else:
        parts.append("In :doc:`the graph of these pages <index>`:")
        parts.append(f".. code-block:: python\n\n{indent(rule.example, '   ')}")
        option = f" --reader {rule.reader}" if rule.reader else ""
        parts.append(f"``nirbridge check net.nir{option}`` then says:")
        parts.append(f".. code-block:: text\n\n{indent(str(shown(rule)), '   ')}")
    parts.append("Fix\n---")
    parts.append(_wrapped(rule.fix))
    if rule.mends and "FILE --fix" not in rule.fix:
        parts.append("``nirbridge check FILE --fix`` mends it where the repair is unique.")
    return "\n\n".join(parts) + "\n"


def _wrapped(text: str) -> str:
    return fill(text, width=100, break_long_words=False, break_on_hyphens=False)


def broken(rule: Rule) -> nir.NIRGraph:
    """The graph that the rule's example makes."""
    names: dict[str, Any] = {"nir": nir, "np": np}
    exec(f"{BASE}{rule.example}", names)  # lines of our own
    return make(names["nodes"], names["edges"], names["metadata"])


def shown(rule: Rule) -> Finding:
    """What `check` reports with the rule's code about its example; raises LookupError where it is nothing."""
    graph = broken(rule)
    findings = check_reader(graph, rule.reader) if rule.reader else validate(graph, in_file=True)
    for finding in findings:
        if finding.code == rule.code:
            return finding
    raise LookupError(f"the example of {rule.code} gives {sorted({f.code for f in findings})}")
