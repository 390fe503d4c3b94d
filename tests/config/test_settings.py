"""Every setting says what it is for, in which unit, and has a default that it accepts itself."""

from __future__ import annotations

import dataclasses

import pytest

from pierhead.config.settings import Kind, Settings, knobs

UNITS = {Kind.DURATION: "_s", Kind.SIZE: "_bytes"}


@pytest.mark.parametrize("name", knobs())
def test_a_setting_has_help_and_its_unit_in_its_name(name: str) -> None:
    knob = knobs()[name]
    assert knob.help
    assert not knob.help.endswith(".")
    for kind, unit in UNITS.items():
        assert name.endswith(unit) == (knob.kind is kind)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().workers = 3  # type: ignore[misc]


def test_the_timeout_ladder_agrees() -> None:
    settings = Settings()
    proxy_idle_s = 60
    assert settings.keep_alive_timeout_s > proxy_idle_s
    assert settings.websocket_ping_interval_s < proxy_idle_s
    assert settings.max_line_bytes <= settings.max_head_bytes
    assert settings.max_spool_memory_bytes <= settings.max_buffered_body_bytes <= settings.max_body_bytes
