"""What one can do in the shop: register, log in and out, add and list products."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shop.domain.model import (
    LOGIN,
    PRODUCT,
    REGISTRATION,
    NotFound,
    NotLoggedIn,
    Product,
    Session,
    User,
    checked,
)
from shop.domain.ports import Passwords, Products, Sessions, Users

__all__ = ["SESSION_LASTS", "Shop"]

SESSION_LASTS = timedelta(hours=12)


class Shop:
    """The use cases. What comes as `fields` comes from outside, and is checked here."""

    def __init__(
        self,
        users: Users,
        products: Products,
        sessions: Sessions,
        passwords: Passwords,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.users = users
        self.products = products
        self.sessions = sessions
        self.passwords = passwords
        self.now = now
        self.nobodys_hash = ""

    async def register(self, fields: object) -> User:
        """Register a user; raises Invalid, EmailTaken."""
        wanted = checked("user", fields, REGISTRATION)
        password_hash = await self.passwords.hash(wanted["password"])
        return await self.users.add(wanted["email"], wanted["name"], password_hash)

    async def login(self, fields: object) -> Session:
        """Begin a session; raises Invalid, NotLoggedIn.

        An email that nobody has takes as long as a wrong password: nobody learns who is registered.
        """
        wanted = checked("login", fields, LOGIN)
        account = await self.users.account(wanted["email"])
        if account is None:
            self.nobodys_hash = self.nobodys_hash or await self.passwords.hash(secrets.token_hex())
        password_hash = account.password_hash if account else self.nobodys_hash
        right = await self.passwords.verify(password_hash, wanted["password"])
        if account is None or not right:
            raise NotLoggedIn("wrong email or password")
        now = self.now()
        session = Session(secrets.token_urlsafe(32), now + SESSION_LASTS, account.user)
        await self.sessions.remove_expired(now)
        await self.sessions.add(digest(session.token), account.user.id, session.expires)
        return session

    async def user_of(self, token: str) -> User:
        """Return whose token this is; raises NotLoggedIn."""
        user = await self.sessions.user(digest(token), self.now())
        if user is None:
            raise NotLoggedIn("the token is wrong or has expired: log in again")
        return user

    async def logout(self, token: str) -> None:
        """End a session; raises NotLoggedIn."""
        await self.user_of(token)
        await self.sessions.remove(digest(token))

    async def add_product(self, user: User, fields: object) -> Product:
        """Add a product; raises Invalid, SkuTaken."""
        wanted = checked("product", fields, PRODUCT)
        return await self.products.add(added_by=user.id, **wanted)

    async def product(self, product_id: int) -> Product:
        """Return one product; raises NotFound."""
        product = await self.products.get(product_id)
        if product is None:
            raise NotFound(f"there is no product {product_id}")
        return product

    async def list_products(self, after: int, limit: int) -> tuple[list[Product], int | None]:
        """Return up to `limit` products after an id, and the id to go on after (None: that was all)."""
        found = await self.products.page(after, limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else None


def digest(token: str) -> bytes:
    """Return what is kept of a token. It has 256 random bits: nobody guesses it, so a fast hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
