"""The public names of the package, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pierhead


def test_every_public_name_is_there() -> None:
    assert set(pierhead.__all__) <= set(dir(pierhead))
    for name in pierhead.__all__:
        assert getattr(pierhead, name).__name__ == name


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Ap'; it has: Address, App"):
        pierhead.Ap  # noqa: B018


def test_the_health_check_loads_no_server() -> None:
    script = (
        "import sys\nfrom pierhead.cli import main\nmain(['health', 'http://127.0.0.1:1/'])\n"
        "print([name for name in ('h11', 'wsproto', 'uvloop', 'pierhead.server') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.endswith("[]\n")
