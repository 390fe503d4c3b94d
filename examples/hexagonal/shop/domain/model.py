"""What there is: users, products and sessions, the rules for their fields, and what can go wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "LOGIN",
    "PRODUCT",
    "REGISTRATION",
    "Account",
    "EmailTaken",
    "Invalid",
    "NotFound",
    "NotLoggedIn",
    "Product",
    "Session",
    "ShopError",
    "SkuTaken",
    "Unavailable",
    "User",
    "checked",
]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is registered. There is no password in here, so none can be shown by mistake."""

    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Account:
    """A user and the hash that a password is compared with: for logging in, and nothing else."""

    user: User
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """What a login gives: whoever shows the token is the user, until it expires."""

    token: str = field(repr=False)
    expires: datetime
    user: User


@dataclass(frozen=True, slots=True)
class Product:
    """Something to sell, and who added it."""

    id: int
    sku: str
    name: str
    price_cents: int
    added_by: int


class ShopError(Exception):
    """Base of what the shop refuses, and says why."""


class Invalid(ShopError):
    """Fields that break rules; `errors` has each of them with its rule ("" as field: all of them)."""

    def __init__(self, what: str, errors: list[tuple[str, str]]) -> None:
        super().__init__(f"this is not a valid {what}")
        self.errors = errors


class NotFound(ShopError):
    """What was asked for does not exist."""


class NotLoggedIn(ShopError):
    """Wrong email or password, or a token that is wrong or has expired."""


class EmailTaken(ShopError):
    """Another user has this email."""


class SkuTaken(ShopError):
    """Another product has this sku."""


class Unavailable(ShopError):
    """An adapter cannot answer now: its database is away, or there is too much to do."""


Rule = tuple[Callable[[Any], bool], str]
MAX_CENTS = 2**31 - 1


def text(pattern: str) -> Callable[[Any], bool]:
    """Return a check for texts that match as a whole."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


CHARACTER = r"[^\x00-\x1f\x7f\ud800-\udfff]"
EMAIL: Rule = (
    text(r"(?=.{3,254}$)[^@\s\x00-\x1f\x7f\ud800-\udfff]+@[^@\s\x00-\x1f\x7f\ud800-\udfff]+"),
    "must be an address such as ada@example.org, of at most 254 characters",
)
PASSWORD: Rule = (text(rf"{CHARACTER}{{12,200}}"), "must be a text of 12 to 200 characters")
NAME: Rule = (text(rf"(?!\s*$){CHARACTER}{{1,200}}"), "must be a text of 1 to 200 characters")
SKU: Rule = (text(r"[A-Z0-9][A-Z0-9-]{0,39}"), "must be 1 to 40 of A-Z, 0-9 and -, and not start with -")
CENTS: Rule = (
    lambda value: type(value) is int and 0 <= value <= MAX_CENTS,  # True is no number
    f"must be a whole number from 0 to {MAX_CENTS}",
)
REGISTRATION = {"email": EMAIL, "name": NAME, "password": PASSWORD}
LOGIN = {"email": EMAIL, "password": (text(rf"{CHARACTER}{{0,200}}"), PASSWORD[1])}
PRODUCT = {"sku": SKU, "name": NAME, "price_cents": CENTS}


def checked(what: str, fields: object, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return the fields, in their normal form; raises Invalid with all that is wrong with them."""
    if not isinstance(fields, Mapping):
        raise Invalid(what, [("", f"must have the fields {', '.join(rules)}")])
    found = {name: normal(name, fields.get(name)) for name in rules}
    errors = [(name, rule) for name, (fits, rule) in rules.items() if not fits(found[name])]
    unknown = sorted(str(name)[:40] for name in fields.keys() - rules.keys())
    errors += [("", f"a {what} has no {name!r}") for name in unknown]
    if errors:
        raise Invalid(what, errors)
    return found


def normal(name: str, value: Any) -> Any:
    """Return a field's normal form: an email has one user, and a password is the same on every keyboard."""
    if name == "email" and isinstance(value, str):
        return value.lower()
    if name == "password" and isinstance(value, str):
        return unicodedata.normalize("NFC", value)  # RFC 8265, 4.2.2
    return value
