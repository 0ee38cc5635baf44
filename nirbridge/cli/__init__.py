"""The command line: it reads, calls what Python users call, and prints. One file a command."""

from nirbridge.cli.app import main

__all__ = ["main"]
