"""Values as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from pierhead.config.settings import knobs
from pierhead.config.values import format_value, parse_value

KNOBS = knobs()


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("max_body_bytes", "65536", 65536),
        ("max_body_bytes", 65536, 65536),
        ("max_body_bytes", "16MiB", 16 << 20),
        ("max_body_bytes", "16 mib", 16 << 20),
        ("max_body_bytes", "100MB", 100_000_000),
        ("max_body_bytes", "1.5KiB", 1536),
        ("max_body_bytes", "512B", 512),
        ("max_body_bytes", "1GiB", 1 << 30),
        ("drain_timeout_s", "75", 75.0),
        ("drain_timeout_s", "75s", 75.0),
        ("drain_timeout_s", "1.5m", 90.0),
        ("drain_timeout_s", "500ms", 0.5),
        ("drain_timeout_s", "1h", 3600.0),
        ("drain_timeout_s", 2, 2.0),
        ("drain_timeout_s", 0.25, 0.25),
        ("workers", "4", 4),
        ("workers", " 4 ", 4),
        ("workers", 0, 0),
        ("reload", "Yes", True),
        ("reload", "off", False),
        ("reload", True, True),
        ("listen", "http://a:1 http://b:2", ("http://a:1", "http://b:2")),
        ("listen", "http://a:1, http://b:2", ("http://a:1", "http://b:2")),
        ("listen", ["http://a:1"], ("http://a:1",)),
        ("umask", "022", 0o22),
        ("umask", "0o077", 0o77),
        ("umask", 0o27, 0o27),
        ("loop", "asyncio", "asyncio"),
        ("server_header", "", ""),
        ("trusted_proxies", "", ()),
        ("trusted_proxies", [], ()),
        ("spool_dir", "", None),
        ("umask", "", None),
    ],
)
def test_a_value_is_read(name: str, raw: object, value: object) -> None:
    found = parse_value(KNOBS[name], raw)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "fix"),
    [
        ("max_body_bytes", "16 parsecs", "use a size such as 65536, 64KiB or 16MB"),
        ("max_body_bytes", "-1", "use a size such as"),
        ("max_body_bytes", -1, "use at least 0"),
        ("max_body_bytes", True, "use a size such as"),
        ("max_head_bytes", 5, "use at least 128"),
        ("drain_timeout_s", "soon", "use a time such as 30, 30s, 1.5m or 500ms"),
        ("drain_timeout_s", float("nan"), "use a time such as"),
        ("drain_timeout_s", float("inf"), "use a time such as"),
        ("head_timeout_s", "0", "use at least 0.1s"),
        ("workers", "many", "use a whole number"),
        ("workers", "1.5", "use a whole number"),
        ("workers", "٣", "use a whole number"),
        ("workers", True, "use a whole number"),
        ("threads", 0, "use at least 1"),
        ("reload", "perhaps", "use true or false"),
        ("reload", 1, "use true or false"),
        ("listen", "", "use a list"),
        ("listen", [], "use a list"),
        ("listen", [1], "use a text"),
        ("umask", "999", "use an octal mode such as 022"),
        ("umask", "7777", "use an octal mode"),
        ("loop", "trio", "use one of auto, uvloop, asyncio"),
        ("access_log", "", "use a text that is not empty"),
        ("access_log", "a\nb", "use a text of one line"),
        ("access_log", 3, "use a text"),
    ],
)
def test_a_value_that_cannot_be_meant_says_what_to_use(name: str, raw: object, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        parse_value(KNOBS[name], raw)


@pytest.mark.parametrize("name", KNOBS)
def test_what_is_shown_is_read_back(name: str) -> None:
    knob = KNOBS[name]
    shown = format_value(knob, knob.default)
    if shown != "(none)" and not knob.zero:
        assert parse_value(knob, shown) == knob.default


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("max_body_bytes", 128 << 20, "128MiB"),
        ("max_body_bytes", 1000, "1000"),
        ("drain_timeout_s", 0.5, "0.5s"),
        ("workers", 0, "0 (as many as there are cores available)"),
        ("workers", 3, "3"),
        ("reload", True, "true"),
        ("listen", ("a", "b"), "a b"),
        ("umask", 0o22, "022"),
        ("spool_dir", None, "(none)"),
        ("server_header", "", "(none)"),
    ],
)
def test_how_a_value_is_shown(name: str, value: Any, shown: str) -> None:
    assert format_value(KNOBS[name], value) == shown
