"""The target Loihi 2: bit-accurate to Lava's fixed-point process models, with mapping and cost."""

from nirbridge_loihi2.netx_format import NetxFormat
from nirbridge_loihi2.target import Loihi2

__all__ = ["Loihi2", "NetxFormat"]
