"""What is wrong with a graph: every rule of the families NB1xx, NB3xx and NB4xx, all findings at once.

`repair` mends what has exactly one repair.
"""

from nirbridge.validate.repair import repair
from nirbridge.validate.rules import validate

__all__ = ["repair", "validate"]
