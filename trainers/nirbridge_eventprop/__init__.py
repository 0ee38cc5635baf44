"""EventProp: exact event-based gradients for recurrent spiking networks, NIR in and NIR out."""

from nirbridge_eventprop.trainer import EventProp

__all__ = ["EventProp"]
