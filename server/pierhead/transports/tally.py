"""Counts the connections that are open at the same time, in all workers of a server, for a limit on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pierhead.board import Cell

if TYPE_CHECKING:
    from pierhead.transports.acceptor import Share

__all__ = ["Tally"]


class Tally:
    """The count of all connections (`place` 0), or of those of one listener (from 1 on).

    Each worker writes its own part on the board before it reads the others': so two that take a connection at
    the same time both see one too many, rather than neither. Without `share` there is one process.
    """

    def __init__(self, share: Share | None = None, place: int = 0) -> None:
        self._count = 0
        self._share = share
        self._cell = Cell.CONNECTIONS + place

    @property
    def total(self) -> int:
        """How many are open everywhere."""
        share, cell = self._share, self._cell
        return self._count + (sum(cells[cell] for cells in share.everybody) if share is not None else 0)

    def change(self, by: int) -> None:
        """Count connections that were made, or (negative) closed."""
        self._count += by
        if self._share is not None:
            self._share.cells[self._cell] = self._count
