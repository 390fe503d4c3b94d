"""Networks of trusted peers."""

from __future__ import annotations

import ipaddress

import pytest

from pierhead.config.networks import parse_networks


def test_words_and_networks() -> None:
    found = parse_networks(["loopback", "192.0.2.0/24", "2001:db8::7"])
    assert [str(network) for network in found] == [
        "127.0.0.0/8",
        "::1/128",
        "192.0.2.0/24",
        "2001:db8::7/128",
    ]


def test_private_has_what_containers_use_and_nothing_public() -> None:
    private = parse_networks(["private"])
    for inside in ("10.1.2.3", "172.17.0.2", "192.168.1.1", "fd12::1", "127.0.0.1"):
        assert any(ipaddress.ip_address(inside) in network for network in private), inside
    for outside in ("8.8.8.8", "172.32.0.1", "192.169.0.1", "2001:db8::1", "100.64.0.1"):
        assert not any(ipaddress.ip_address(outside) in network for network in private), outside


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "10.0.0.0/33", ""])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is no network"):
        parse_networks([text])
