"""Run a graph on a target, or compare several targets: what Python users call; the command line only prints."""

from __future__ import annotations
