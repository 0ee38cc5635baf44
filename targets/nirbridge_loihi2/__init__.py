"""The target Loihi 2: bit-accurate to Lava's fixed-point process models, with mapping and cost."""

from typing import TYPE_CHECKING, Any

from nirbridge_loihi2.netx_format import NetxFormat
from nirbridge_loihi2.target import Loihi2

if TYPE_CHECKING:
    from nirbridge_loihi2.net_program import NetProgram

__all__ = ["Loihi2", "NetProgram", "NetxFormat"]


def __getattr__(name: str) -> Any:
    """`NetProgram` on demand: it loads the compiled kernels."""
    if name == "NetProgram":
        from nirbridge_loihi2.net_program import NetProgram

        return NetProgram
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
