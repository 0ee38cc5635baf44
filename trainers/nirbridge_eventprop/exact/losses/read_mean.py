"""A loss at every moment, with the time-averaged membrane as its read-out."""

from __future__ import annotations

from dataclasses import dataclass

from nirbridge_eventprop.exact.losses.kinds import Floats, MembraneLoss


@dataclass(frozen=True, eq=False)
class ReadMean(MembraneLoss):
    """``loss`` as it is; read-out (1/T)·∫V dt, by which a reader then predicts."""

    loss: MembraneLoss

    def edges(self, end: float) -> Floats:
        return self.loss.edges(end)

    def at_nodes(
        self, t: Floats, weight: Floats, v: Floats, label: int, end: float
    ) -> tuple[float, Floats, Floats]:
        value, _, impulse = self.loss.at_nodes(t, weight, v, label, end)
        return value, weight @ v / end, impulse
