"""The ports: what the shop needs of the world outside. Adapters fulfil them; a contract test runs on each.

Every method may raise Unavailable: not now, later perhaps.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from shop.domain.model import Account, Product, User

__all__ = ["Passwords", "Products", "Sessions", "Users"]


class Users(Protocol):
    """Where users are kept."""

    async def add(self, email: str, name: str, password_hash: str) -> User:
        """Keep a new user; raises EmailTaken."""
        ...

    async def account(self, email: str) -> Account | None:
        """Return the account with this email."""
        ...


class Products(Protocol):
    """Where products are kept."""

    async def add(self, sku: str, name: str, price_cents: int, added_by: int) -> Product:
        """Keep a new product of an existing user; raises SkuTaken."""
        ...

    async def get(self, product_id: int) -> Product | None:
        """Return one product."""
        ...

    async def page(self, after: int, most: int) -> list[Product]:
        """Return the first `most` products whose id is greater than `after`, by id."""
        ...


class Sessions(Protocol):
    """Where sessions are kept: the digest of each token, never a token."""

    async def add(self, digest: bytes, user_id: int, expires: datetime) -> None:
        """Keep a session of an existing user."""
        ...

    async def user(self, digest: bytes, now: datetime) -> User | None:
        """Return whose session this is, unless it has expired."""
        ...

    async def remove(self, digest: bytes) -> None:
        """Forget a session, if it is there."""
        ...

    async def remove_expired(self, now: datetime) -> None:
        """Forget the sessions that are over."""
        ...


class Passwords(Protocol):
    """How passwords are hashed."""

    async def hash(self, password: str) -> str:
        """Return a hash, salted: another one each time."""
        ...

    async def verify(self, password_hash: str, password: str) -> bool:
        """Tell whether this is the password."""
        ...
