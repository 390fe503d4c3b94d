"""Files without a name: memory to share or to write to by descriptor, of which nothing is left behind."""

from __future__ import annotations

import os
import tempfile

__all__ = ["scratch_file"]


def scratch_file(name: str, size: int = 0) -> int:
    """Return the descriptor of a new file of `size` zeros, with a name for /proc. Raises OSError.

    It is in memory where the system can (Linux), else a file of the temporary folder that is removed already.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd
