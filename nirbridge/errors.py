"""The errors that nirbridge raises, drawn as one tree, and the finding that most of them carry.

NirbridgeError            exit code 1
├── UsageError            2    an option, a name or a configuration value is wrong (NB7xx)
├── BadInput              3    a file, a graph or data cannot be used (NB0xx-NB5xx)
├── Unsupported           4    a graph asks for something that a target or trainer cannot do (NB2xx)
│   └── DoesNotFit        4    the graph is legal but exceeds a limit of the target (NB6xx)
├── PluginError           4    an installed plugin cannot be loaded (NB9xx)
└── ToleranceExceeded     5    two results differ by more than was allowed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule or limit: what was found where, what was expected, and how to mend it.

    ``node`` is the dotted name of the node, or None where the whole graph or file is meant.
    """

    code: str
    level: Level
    message: str
    node: str | None = None
    fix: str | None = None

    def __str__(self) -> str:
        text = f"{self.level}[{self.code}] {self.message}"
        return text if self.fix is None else f"{text}\n  fix: {self.fix}"

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON keeps it: code, level, node, message, fix."""
        return {
            "code": self.code,
            "level": self.level,
            "node": self.node,
            "message": self.message,
            "fix": self.fix,
        }


class FindingWarning(UserWarning):
    """A finding of level ``warning`` about something that was read all the same, through `warnings`."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class NirbridgeError(Exception):
    """An error with a code, a message that says what was found and expected, and the next step."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, code: str, fix: str | None = None, findings: Sequence[Finding] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix
        self.findings = tuple(findings)

    def __str__(self) -> str:
        lines = [f"error[{self.code}] {self.message}"]
        if self.fix is not None:
            lines.append(f"  fix: {self.fix}")
        lines.extend(str(finding) for finding in self.findings if not self.message.endswith(finding.message))
        return "\n".join(lines)


class UsageError(NirbridgeError):
    """An option, a name on the command line or a configuration value is wrong."""

    exit_code = 2


class BadInput(NirbridgeError):
    """A file, a graph or a data set cannot be used as it is."""

    exit_code = 3


class Unsupported(NirbridgeError):
    """A graph asks for something that the named target, trainer or profile does not do."""

    exit_code = 4


class DoesNotFit(Unsupported):
    """A graph exceeds a limit of the target; ``placement`` shows every limit with its headroom."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        placement: Any,
        fix: str | None = None,
        findings: Sequence[Finding] = (),
    ) -> None:
        super().__init__(message, code=code, fix=fix, findings=findings)
        self.placement = placement


class PluginError(NirbridgeError):
    """An installed plugin cannot be loaded; the message names it, its package and the cause."""

    exit_code = 4


class ToleranceExceeded(NirbridgeError):
    """Two results differ by more than the tolerance that was asked for."""

    exit_code = 5


def raise_on_errors(findings: Sequence[Finding], where: str) -> None:
    """Raise `BadInput` that carries every finding of level ``error``, if there is one.

    ``where`` names what was checked, such as a file.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        rest = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise BadInput(
            f"{where}: {errors[0].message}{rest}",
            code=errors[0].code,
            fix=errors[0].fix,
            findings=errors[1:],
        )
