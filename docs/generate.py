"""Write commands.rst next to this script from the program's own help, codes.rst and rules/ from its rules.

python docs/generate.py          write it
python docs/generate.py --check  exit 1 where it differs from the code
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import typer

from nirbridge.cli.app import app, main

sys.path.insert(0, str(Path(__file__).parent))
import rule_pages

FOLDER = Path(__file__).parent
HEAD = """\
Commands
========

.. This page is written by docs/generate.py from the program's help.

Results go to standard output, progress and warnings to standard error. With ``--json`` a command
prints one JSON object with a ``schema`` key, and nothing where it fails. Exit codes are listed in
:doc:`codes`. ``python -m nirbridge`` is the same program.
"""


def names(command: Any, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command, groups left out."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return [before]
    return [words for name, sub in inner.items() for words in names(sub, (*before, name))]


def help_of(words: tuple[str, ...]) -> str:
    """What ``nirbridge WORDS --help`` prints on a terminal of 80 columns."""
    printed = io.StringIO()
    os.environ["COLUMNS"] = "80"
    with contextlib.redirect_stdout(printed):
        main([*words, "--help"])
    return printed.getvalue().rstrip()


def page() -> str:
    """The text of commands.rst."""
    parts = [HEAD]
    for words in names(typer.main.get_command(app)):
        title = f"nirbridge {' '.join(words)}"
        parts.append(
            f"{title}\n{'-' * len(title)}\n\n.. code-block:: text\n\n{indent(help_of(words), '   ')}\n"
        )
    return "\n".join(parts)


def texts() -> dict[str, str]:
    """The text of every page that is written here, by its path under docs/."""
    return {"commands.rst": page(), **rule_pages.pages()}


def differing(wanted: dict[str, str]) -> list[str]:
    """Pages that are missing, differ from the code, or belong to no rule."""
    there = {f"rules/{path.name}": path for path in (FOLDER / "rules").glob("*.rst")}
    wrong = [name for name in there if name not in wanted]
    for name, text in wanted.items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            wrong.append(name)
    return sorted(wrong)


def run(arguments: list[str]) -> int:
    wanted = texts()
    wrong = differing(wanted)
    if arguments == ["--check"]:
        for name in wrong:
            print(f"docs/{name} differs from the code; run: python docs/generate.py", file=sys.stderr)
        return 1 if wrong else 0
    (FOLDER / "rules").mkdir(exist_ok=True)
    for name in wrong:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
