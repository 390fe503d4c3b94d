"""`python -m pierhead` is the command `pierhead`."""

from __future__ import annotations

import sys

from pierhead.cli import main

if __name__ == "__main__":
    sys.exit(main())
