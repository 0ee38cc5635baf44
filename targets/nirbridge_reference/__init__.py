"""The reference simulator: a graph's own semantics, step by step, on the CPU."""

from nirbridge_reference.target import Reference

__all__ = ["Reference"]
