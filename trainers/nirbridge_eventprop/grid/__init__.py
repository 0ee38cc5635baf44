"""EventProp on a fixed step for any layers and connections, by the text of EVENTPROP.md §3, §4."""

from nirbridge_eventprop.grid.engine import Engine, GridBatch
from nirbridge_eventprop.grid.network import GridConnection, GridNetwork, grid_network
from nirbridge_eventprop.grid.sums import Gradients, by_parameter

__all__ = [
    "Engine",
    "Gradients",
    "GridBatch",
    "GridConnection",
    "GridNetwork",
    "by_parameter",
    "grid_network",
]
