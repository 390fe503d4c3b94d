"""`python -m stack`: the kit's commands, in a Python that has what they need already."""

from __future__ import annotations

import sys

from stack.cli import main

sys.exit(main(sys.argv[1:]))
