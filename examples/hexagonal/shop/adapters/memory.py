"""The ports in memory, for tests. A second worker would know nothing of it: not for serving."""

from __future__ import annotations

from datetime import datetime

from shop.domain.model import Account, EmailTaken, Product, SkuTaken, User

__all__ = ["Products", "Sessions", "Users"]


class Users:
    """Users in a dictionary."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    async def add(self, email: str, name: str, password_hash: str) -> User:
        """Keep a new user."""
        if email in self.accounts:
            raise EmailTaken("another user has this email")
        user = User(len(self.accounts) + 1, email, name)
        self.accounts[email] = Account(user, password_hash)
        return user

    async def account(self, email: str) -> Account | None:
        """Return the account with this email."""
        return self.accounts.get(email)


class Products:
    """Products in a dictionary."""

    def __init__(self) -> None:
        self.products: dict[int, Product] = {}

    async def add(self, sku: str, name: str, price_cents: int, added_by: int) -> Product:
        """Keep a new product."""
        if any(product.sku == sku for product in self.products.values()):
            raise SkuTaken("another product has this sku")
        product = Product(len(self.products) + 1, sku, name, price_cents, added_by)
        self.products[product.id] = product
        return product

    async def get(self, product_id: int) -> Product | None:
        """Return one product."""
        return self.products.get(product_id)

    async def page(self, after: int, most: int) -> list[Product]:
        """Return a page; ids only grow, and dictionaries keep their order."""
        return [product for product in self.products.values() if product.id > after][:most]


class Sessions:
    """Sessions in a dictionary; users are looked up where they are kept."""

    def __init__(self, users: Users) -> None:
        self.users = users
        self.sessions: dict[bytes, tuple[int, datetime]] = {}

    async def add(self, digest: bytes, user_id: int, expires: datetime) -> None:
        """Keep a session."""
        self.sessions[digest] = user_id, expires

    async def user(self, digest: bytes, now: datetime) -> User | None:
        """Return whose session this is."""
        user_id, expires = self.sessions.get(digest, (0, now))
        found = [one.user for one in self.users.accounts.values() if one.user.id == user_id and expires > now]
        return found[0] if found else None

    async def remove(self, digest: bytes) -> None:
        """Forget a session."""
        self.sessions.pop(digest, None)

    async def remove_expired(self, now: datetime) -> None:
        """Forget the sessions that are over."""
        self.sessions = {key: one for key, one in self.sessions.items() if one[1] > now}
