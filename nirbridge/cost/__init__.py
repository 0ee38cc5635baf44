"""Energy and latency as intervals with a basis and a source; coefficients as cited data."""

from nirbridge.cost.coefficients import Check, Coefficients, load, load_file
from nirbridge.cost.corners import Interval, over_corners, worst_basis
from nirbridge.cost.residuals import residual
from nirbridge.cost.totals import total_of, weakest_term
from nirbridge.cost.types import Band, Basis, Cost, Residual, Term, Total

__all__ = [
    "Band",
    "Basis",
    "Check",
    "Coefficients",
    "Cost",
    "Interval",
    "Residual",
    "Term",
    "Total",
    "load",
    "load_file",
    "over_corners",
    "residual",
    "total_of",
    "weakest_term",
    "worst_basis",
]
