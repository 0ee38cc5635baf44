"""EventProp in continuous time: from event to event, closed form in between (EVENTPROP.md §2, §4)."""

from nirbridge_eventprop.exact.engine import Engine, RateTerm
from nirbridge_eventprop.exact.network import Connection, EventNetwork, Layer, event_network
from nirbridge_eventprop.exact.sums import Gradients, by_parameter

__all__ = [
    "Connection",
    "Engine",
    "EventNetwork",
    "Gradients",
    "Layer",
    "RateTerm",
    "by_parameter",
    "event_network",
]
