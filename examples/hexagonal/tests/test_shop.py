"""What one can do in the shop, whatever it is plugged into."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from shop.domain.model import EmailTaken, Invalid, NotFound, NotLoggedIn
from shop.domain.service import SESSION_LASTS, Shop, digest

ADA = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
LOGIN = {"email": ADA["email"], "password": ADA["password"]}
ROPE = {"sku": "ROPE", "name": "Rope", "price_cents": 2490}


@pytest.fixture
def run(runner: asyncio.Runner) -> Any:
    return runner.run


def test_who_registered_can_log_in_and_out(run: Any, shop: Shop) -> None:
    user = run(shop.register(ADA))
    session = run(shop.login(LOGIN))
    assert session.user == user
    assert run(shop.user_of(session.token)) == user
    run(shop.logout(session.token))
    with pytest.raises(NotLoggedIn):
        run(shop.user_of(session.token))


def test_each_login_is_a_session_of_its_own(run: Any, shop: Shop) -> None:
    run(shop.register(ADA))
    first, second = run(shop.login(LOGIN)), run(shop.login(LOGIN))
    assert first.token != second.token
    run(shop.logout(first.token))
    assert run(shop.user_of(second.token)).email == ADA["email"]


def test_a_session_expires(run: Any, shop: Shop, clock: Any) -> None:
    run(shop.register(ADA))
    session = run(shop.login(LOGIN))
    assert session.expires == clock() + SESSION_LASTS
    clock.forward(SESSION_LASTS - timedelta(seconds=1))
    run(shop.user_of(session.token))
    clock.forward(timedelta(seconds=1))
    with pytest.raises(NotLoggedIn, match="expired: log in again"):
        run(shop.user_of(session.token))


def test_a_login_clears_away_what_has_expired(run: Any, shop: Shop, clock: Any) -> None:
    run(shop.register(ADA))
    old = run(shop.login(LOGIN))
    before = clock()
    clock.forward(SESSION_LASTS)
    run(shop.login(LOGIN))
    assert run(shop.sessions.user(digest(old.token), before)) is None


def test_the_token_is_not_what_is_kept(run: Any, shop: Shop) -> None:
    run(shop.register(ADA))
    session = run(shop.login(LOGIN))
    assert run(shop.sessions.user(session.token.encode()[:32], shop.now())) is None
    assert run(shop.sessions.user(digest(session.token), shop.now())) == session.user


@pytest.mark.parametrize(
    "wrong",
    [{"password": "Correct horse battery"}, {"password": ""}, {"email": "eve@example.org"}],
)
def test_a_wrong_login_does_not_say_what_was_wrong(run: Any, shop: Shop, wrong: dict[str, str]) -> None:
    run(shop.register(ADA))
    with pytest.raises(NotLoggedIn, match=r"^wrong email or password$"):
        run(shop.login(LOGIN | wrong))


def test_an_unknown_email_costs_a_comparison_too(run: Any, shop: Shop) -> None:
    compared: list[str] = []
    verify = shop.passwords.verify

    async def counted(password_hash: str, password: str) -> bool:
        compared.append(password_hash)
        return await verify(password_hash, password)

    shop.passwords.verify = counted  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(NotLoggedIn):
            run(shop.login(LOGIN))
    assert len(compared) == 2
    assert compared[0].startswith("$argon2id$")


def test_an_email_is_the_same_in_capitals(run: Any, shop: Shop) -> None:
    run(shop.register(ADA))
    with pytest.raises(EmailTaken):
        run(shop.register(ADA | {"email": "Ada@Example.ORG"}))
    assert run(shop.login(LOGIN | {"email": "ADA@example.org"})).user.email == "ada@example.org"


def test_a_password_is_the_same_however_it_was_typed(run: Any, shop: Shop) -> None:
    run(shop.register(ADA | {"password": "caf\u00e9 au lait, please"}))
    run(shop.login(LOGIN | {"password": "cafe\u0301 au lait, please"}))


def test_users_add_products_which_everybody_sees(run: Any, shop: Shop) -> None:
    user = run(shop.register(ADA))
    rope = run(shop.add_product(user, ROPE))
    buoy = run(shop.add_product(user, ROPE | {"sku": "BUOY"}))
    assert rope.added_by == user.id
    assert run(shop.product(rope.id)) == rope
    assert run(shop.list_products(0, 1)) == ([rope], rope.id)
    assert run(shop.list_products(rope.id, 1)) == ([buoy], None)
    with pytest.raises(NotFound, match="there is no product 123456789"):
        run(shop.product(123456789))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ["email", "name", "password"]),
        (ADA | {"password": "too short"}, ["password"]),
        (ADA | {"password": "x" * 201}, ["password"]),
        (ADA | {"password": "half a character \ud800"}, ["password"]),
        (ADA | {"password": None, "email": 7}, ["email", "password"]),
        (ADA | {"email": "İ" * 200 + "@example.org"}, ["email"]),  # longer in small letters
        (ADA | {"name": " "}, ["name"]),
        (ADA | {"admin": True}, [""]),
        ([], [""]),
        (None, [""]),
    ],
)
def test_fields_that_break_rules_are_all_named(
    run: Any, shop: Shop, fields: object, wrong: list[str]
) -> None:
    with pytest.raises(Invalid, match="not a valid user") as caught:
        run(shop.register(fields))
    assert [field for field, _ in caught.value.errors] == wrong
    assert "correct horse" not in str(caught.value.errors)


@pytest.mark.parametrize(
    "wrong",
    [{"sku": "rope"}, {"price_cents": -1}, {"price_cents": True}, {"price_cents": 2**31}, {"name": 1}],
)
def test_products_have_rules_too(run: Any, shop: Shop, wrong: dict[str, Any]) -> None:
    user = run(shop.register(ADA))
    with pytest.raises(Invalid) as caught:
        run(shop.add_product(user, ROPE | wrong))
    assert [field for field, _ in caught.value.errors] == list(wrong)
