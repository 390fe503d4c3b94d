"""The contract of the ports: every adapter keeps it, in memory and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from shop.domain.model import EmailTaken, Product, SkuTaken, User
from shop.domain.service import Shop

HASH = "$argon2id$a hash"


@pytest.fixture
def run(runner: asyncio.Runner) -> Any:
    return runner.run


def ada(run: Any, shop: Shop) -> User:
    user: User = run(shop.users.add("ada@example.org", "Ada", HASH))
    return user


def test_users_are_found_by_email_with_their_hash(run: Any, shop: Shop) -> None:
    user = ada(run, shop)
    assert (user.email, user.name) == ("ada@example.org", "Ada")
    account = run(shop.users.account("ada@example.org"))
    assert (account.user, account.password_hash) == (user, HASH)
    assert run(shop.users.account("eve@example.org")) is None


def test_an_email_has_one_user(run: Any, shop: Shop) -> None:
    user = ada(run, shop)
    with pytest.raises(EmailTaken, match="another user has this email"):
        run(shop.users.add("ada@example.org", "Eve", HASH))
    assert run(shop.users.account("ada@example.org")).user == user


def test_products_are_found_by_id_and_come_in_pages(run: Any, shop: Shop) -> None:
    user = ada(run, shop)
    products = [run(shop.products.add(f"SKU-{n}", f"Product {n}", 100 * n, user.id)) for n in range(5)]
    assert products[3] == Product(products[3].id, "SKU-3", "Product 3", 300, user.id)
    assert run(shop.products.get(products[3].id)) == products[3]
    assert run(shop.products.page(0, 2)) == products[:2]
    assert run(shop.products.page(products[1].id, 100)) == products[2:]
    assert run(shop.products.page(products[-1].id, 2)) == []
    assert run(shop.products.page(2**63 - 1, 2)) == []
    assert run(shop.products.get(2**63 - 1)) is None


def test_a_sku_has_one_product(run: Any, shop: Shop) -> None:
    user = ada(run, shop)
    rope = run(shop.products.add("ROPE", "Rope", 2490, user.id))
    with pytest.raises(SkuTaken, match="another product has this sku"):
        run(shop.products.add("ROPE", "Another", 1, user.id))
    assert run(shop.products.page(0, 10)) == [rope]


def test_sessions_last_until_they_expire_or_are_removed(run: Any, shop: Shop) -> None:
    user, now, later = ada(run, shop), shop.now(), shop.now() + timedelta(hours=1)
    first, second, unknown = b"1" * 32, b"2" * 32, b"3" * 32
    run(shop.sessions.add(first, user.id, later))
    run(shop.sessions.add(second, user.id, later))
    assert run(shop.sessions.user(first, now)) == user
    assert run(shop.sessions.user(unknown, now)) is None
    assert run(shop.sessions.user(first, later)) is None
    run(shop.sessions.remove(first))
    run(shop.sessions.remove(first))  # again: no error
    assert run(shop.sessions.user(first, now)) is None
    run(shop.sessions.remove_expired(now))
    assert run(shop.sessions.user(second, now)) == user
    run(shop.sessions.remove_expired(later))
    assert run(shop.sessions.user(second, now)) is None


def test_texts_of_all_languages_come_back_as_they_were(run: Any, shop: Shop) -> None:
    for number, name in enumerate(["José", "山田　太郎", "O'Brien; DROP TABLE users --", "😀", "%s %(id)s"]):
        assert run(shop.users.add(f"u{number}@example.org", name, HASH)).name == name
