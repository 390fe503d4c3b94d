"""State: a namespace that says what is missing."""

from __future__ import annotations

import copy

import pytest

from pierhead.messages.state import State


def test_it_holds_attributes() -> None:
    state = State("request.state")
    state.user = "ada"
    assert state.user == "ada"
    assert "user" in state
    assert vars(state) == {"user": "ada"}
    assert repr(state) == "<request.state {'user': 'ada'}>"
    del state.user
    assert "user" not in state


def test_what_was_never_set_is_named() -> None:
    state = State("request.state")
    with pytest.raises(AttributeError, match=r"request\.state has no 'user', it has: nothing yet"):
        _ = state.user
    state.b = state.a = 1
    with pytest.raises(AttributeError, match="it has: a, b"):
        _ = state.user
    assert getattr(state, "user", None) is None


def test_it_can_be_copied() -> None:
    state = State()
    state.a = 1
    assert copy.copy(state).a == 1
