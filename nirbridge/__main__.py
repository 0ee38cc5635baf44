"""``python -m nirbridge`` is the same program as ``nirbridge``."""

from nirbridge.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
