"""Makes this folder importable for ../stack.py as `hexagonal`, and its package `shop` with it.

Run alone, with this folder as the one that imports start from, the example does not need it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
