"""What a worker is doing, as its row on the board says: for the log, when it has died or must."""

from __future__ import annotations

import dataclasses
from typing import Any

from pierhead.board import Cell, Row

__all__ = ["Doing"]


@dataclasses.dataclass(frozen=True, slots=True)
class Doing:
    """The requests of a worker, without their queries: these may hold secrets."""

    begun_last: str
    in_progress: tuple[str, ...]
    """Those that take longer, or the first of them."""
    more: int
    """How many there are beyond these."""

    @classmethod
    def of(cls, row: Row) -> Doing:
        """Read a row."""
        last, *others = (note.partition("?")[0] for note in row.notes())
        slow = tuple(note for note in others if note)
        return cls(last, slow, max(0, row.cells[Cell.IN_FLIGHT] - len(slow)) if slow else 0)

    def facts(self) -> dict[str, Any]:
        """Return it as fields of a log record."""
        return {"request": self.begun_last, "in_progress": list(self.in_progress)}

    def __str__(self) -> str:
        parts = [f"begun last: {self.begun_last}"] if self.begun_last else []
        if self.in_progress:
            more = f" and {self.more} more" if self.more else ""
            parts.append(f"in progress: {', '.join(self.in_progress)}{more}")
        return f" ({'; '.join(parts)})" if parts else ""
