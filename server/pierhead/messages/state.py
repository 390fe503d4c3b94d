"""A namespace for what an application keeps: per request (`request.state`) or per worker (`app.state`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["State"]


class State:
    """Holds any attribute; asking for one that was never set raises an AttributeError that says so.

    `where` is how its messages call it, such as "request.state". `vars(state)` is what it holds.
    """

    __slots__ = ("__dict__", "_where")

    def __init__(self, where: str = "state") -> None:
        self._where = where

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        present = ", ".join(sorted(vars(self))) or "nothing yet"
        raise AttributeError(f"{self._where} has no {name!r}, it has: {present}; set it before it is read")

    def __contains__(self, name: object) -> bool:
        return name in vars(self)

    def __repr__(self) -> str:
        return f"<{self._where} {vars(self)!r}>"
