"""Basic credentials: who they are is read strictly and compared without telling how far it was right."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.messages.auth import BasicAuth, basic_challenge, parse_basic_auth


def encode(credentials: bytes) -> str:
    return base64.b64encode(credentials).decode()


def test_the_example_of_rfc_7617() -> None:
    assert parse_basic_auth("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == BasicAuth("Aladdin", "open sesame")
    assert parse_basic_auth("Basic dGVzdDoxMjPCow==") == BasicAuth("test", "123£")


def test_the_scheme_has_no_case_and_the_password_may_have_colons() -> None:
    assert parse_basic_auth("bAsIc  " + encode(b"a:b:c")) == BasicAuth("a", "b:c")
    assert parse_basic_auth("Basic " + encode(b":")) == BasicAuth("", "")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Bearer abc",
        "Basic !!!",
        "Basic YQ",
        "Basic é",
        "Basic " + encode(b"no colon"),
        "Basic " + encode(b"a:\xff"),
        "Basic " + encode(b"a:b\n"),
    ],
)
def test_what_cannot_be_read_is_none(value: str) -> None:
    assert parse_basic_auth(value) is None


def test_matching() -> None:
    auth = BasicAuth("ada", "lövelace")
    assert auth.matches("ada", "lövelace")
    assert not auth.matches("ada", "x")
    assert not auth.matches("x", "lövelace")


def test_the_password_is_not_shown() -> None:
    assert repr(BasicAuth("ada", "geheim")) == "BasicAuth(username='ada')"


def test_the_challenge_quotes_its_realm() -> None:
    assert basic_challenge('the "staff"') == r'Basic realm="the \"staff\"", charset="UTF-8"'
    for realm in ["a\r\nb", "é"]:
        with pytest.raises(ValueError, match="printable ASCII"):
            basic_challenge(realm)


PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(PRINTABLE.filter(lambda text: ":" not in text), PRINTABLE)
def test_what_is_encoded_is_read(username: str, password: str) -> None:
    value = "Basic " + encode(f"{username}:{password}".encode())
    assert parse_basic_auth(value) == BasicAuth(username, password)
