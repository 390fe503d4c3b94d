"""The failure that ends a command of the kit, with a message for the person at the terminal."""

from __future__ import annotations

__all__ = ["Interrupted", "KitError"]


class KitError(Exception):
    """Something is wrong; the message says what, where, and what to do."""


class Interrupted(BaseException):
    """A signal asked the kit to stop. Not an Exception: nothing may take it for a failure and go on."""
