"""Who a client is: by the word of trusted proxies, and of nobody else."""

from __future__ import annotations

import pytest

from pierhead import Address, App, Request, Response
from pierhead.config import Settings
from pierhead.forwarded import Forwarding
from pierhead.messages.headers import Headers, LazyHeaders
from pierhead.testing import Client

PROXY = Address("10.0.0.1", 4711)
STRANGER = Address("203.0.113.9", 4712)
ADA = "192.0.2.60"


def arrived(
    *fields: tuple[str, str], peer: Address = PROXY, trusted: tuple[str, ...] = ("10.0.0.0/8",)
) -> Request:
    """Return a request as an application sees it that `peer` has sent with these fields."""
    headers = Headers([("Host", "inside:8080"), *fields])
    request = Request("GET", "/", headers, client=peer, server=Address("10.0.0.9", 8080))
    section = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    Forwarding(Settings(trusted_proxies=trusted)).apply(request, section)
    return request


def test_a_trusted_proxy_says_who_asked_for_what() -> None:
    request = arrived(
        ("X-Forwarded-For", ADA),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "example.org:8443"),
        ("X-Forwarded-Prefix", "/shop/"),
    )
    assert request.client == Address(ADA, None)
    assert request.url == "https://example.org:8443/shop/"
    assert request.headers.getlist("Host") == ["example.org:8443"]
    assert request.root_path == "/shop"


def test_the_standard_field_says_the_same() -> None:
    request = arrived(("Forwarded", 'for="192.0.2.60:4711";proto=https;host="example.org";by=_hidden'))
    assert request.client == Address(ADA, 4711)
    assert request.url == "https://example.org/"


def test_real_ip_is_enough() -> None:
    assert arrived(("X-Real-IP", ADA)).client == Address(ADA, None)


FORGED = [
    ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
    ("X-Forwarded-For", "6.6.6.6"),
    ("x-forwarded-proto", "https"),
    ("X-FORWARDED-HOST", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-User", "root"),
    ("X_Forwarded_For", "6.6.6.6"),
    ("X-Forwarded_Proto", "https"),
    ("X-Forwarded", "6.6.6.6"),
    ("X-Real-IP", "6.6.6.6"),
    ("X_Real_IP", "6.6.6.6"),
    ("Proxy", "http://evil.example"),
]


@pytest.mark.parametrize("field", FORGED)
def test_a_stranger_is_not_believed_and_nobody_after_us_may_believe_it(field: tuple[str, str]) -> None:
    request = arrived(field, ("Accept", "*/*"), peer=STRANGER)
    assert request.client == STRANGER
    assert request.server == Address("10.0.0.9", 8080)
    assert request.url == "http://inside:8080/"
    assert request.root_path == ""
    assert list(request.headers) == [("Host", "inside:8080"), ("Accept", "*/*")]


@pytest.mark.parametrize(
    "field", [("X-Forwardedness", "1"), ("Proxy-Authorization", "x"), ("Via", "proxy: a")]
)
def test_other_fields_stay(field: tuple[str, str]) -> None:
    assert list(arrived(field, peer=STRANGER).headers)[1] == field


def test_without_such_a_field_nothing_is_even_split() -> None:
    headers = LazyHeaders(lambda section: pytest.fail(f"{section!r} was split"), b"")
    request = Request("GET", "/", headers, client=STRANGER)
    Forwarding(Settings()).apply(request, b"Host: a\r\nUser-Agent: b\r\n")


def test_a_proxy_cannot_set_programs_a_proxy() -> None:
    assert "Proxy" not in arrived(("Proxy", "http://evil.example")).headers


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("6.6.6.6, 192.0.2.60, 10.0.0.2", ADA),  # what stands left of the client was the client's word
        ("192.0.2.60,10.0.0.3 , 10.0.0.2", ADA),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),  # trusted all the way: it is one of them that asks
        ("192.0.2.60, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.60, <script>, 10.0.0.2", "10.0.0.2"),
        ("unknown", PROXY.host),
        ("", PROXY.host),
        ("192.0.2.60:1234", ADA),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("1.2.3.4.5", PROXY.host),
        ("192.0.2.060", PROXY.host),
        ("192.0.2.60:65535", ADA),
        ("192.0.2.60:65536", PROXY.host),
        ("192.0.2.60:0", PROXY.host),
        ("fe80::1%<script>", PROXY.host),
        ("[fe80::1%25eth0]:80", PROXY.host),
        ("192.0.2.60, ::ffff:10.0.0.3%any text, 10.0.0.2", "10.0.0.2"),
    ],
)
def test_the_chain_is_walked_from_the_right_past_trusted_hops(chain: str, client: str) -> None:
    request = arrived(("X-Forwarded-For", chain))
    assert request.client is not None
    assert request.client.host == client


def test_several_lines_are_one_chain() -> None:
    request = arrived(("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", f"{ADA}, 10.0.0.2"))
    assert request.client == Address(ADA, None)


def test_the_other_facts_are_those_of_the_hop_the_client_stands_at() -> None:
    request = arrived(
        ("X-Forwarded-For", f"6.6.6.6, {ADA}, 10.0.0.2"),
        ("X-Forwarded-Proto", "http, https, http"),
        ("X-Forwarded-Host", "evil.example, example.org, inside"),
    )
    assert request.url == "https://example.org/"
    request = arrived(
        (
            "Forwarded",
            f"for=6.6.6.6;host=evil.example, for={ADA};proto=https;host=example.org, for=10.0.0.2;proto=http",
        )
    )
    assert request.client == Address(ADA, None)
    assert request.url == "https://example.org/"


def test_a_single_fact_counts_for_the_whole_chain() -> None:
    request = arrived(("X-Forwarded-For", f"{ADA}, 10.0.0.2"), ("X-Forwarded-Proto", "https"))
    assert request.scheme == "https"


@pytest.mark.parametrize(
    "field",
    [
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Host", "evil.example/path"),
        ("X-Forwarded-Host", "a b"),
        ("X-Forwarded-Prefix", "//evil.example"),
        ("X-Forwarded-Prefix", "/a/../b"),
        ("X-Forwarded-Prefix", "a"),
        ("X-Forwarded-Prefix", "/a?b"),
        ("X-Forwarded-Prefix", "/a/%2e%2E/b"),
        ("X-Forwarded-Prefix", "/.%2e"),
        ("X-Forwarded-Prefix", "/a%zz"),
        ("X-Forwarded-Prefix", "/a%"),
        ("X-Forwarded-Port", "many"),
        ("X-Forwarded-Port", "0"),
        ("X-Forwarded-Port", "65536"),
        ("X-Forwarded-Port", "-1"),
        ("Forwarded", "for"),
        ("Forwarded", 'for="192.0.2.1'),
        ("Forwarded", "for=192.0.2.1;For=192.0.2.60"),
        ("Forwarded", "proto=gopher;host=<>"),
    ],
)
def test_what_cannot_be_meant_is_not_believed_of_anybody(field: tuple[str, str]) -> None:
    request = arrived(field)
    assert request.client == PROXY
    assert request.url == "http://inside:8080/"
    assert request.server == Address("10.0.0.9", 8080)


def test_a_forwarded_port_is_the_servers_and_not_added_to_a_host() -> None:
    request = arrived(("X-Forwarded-Host", "example.org"), ("X-Forwarded-Port", "8082"))
    assert request.server == Address("10.0.0.9", 8082)
    assert request.host == "example.org"


def test_of_two_kinds_only_what_they_agree_on_is_believed() -> None:
    request = arrived(
        ("X-Forwarded-For", ADA),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
    )
    assert request.client == PROXY
    assert request.url == "https://inside:8080/"
    assert arrived(("X-Forwarded-For", ADA), ("Forwarded", f"for={ADA}")).client == Address(ADA, None)


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        (("loopback",), "127.0.0.1", True),
        (("loopback",), "127.8.9.10", True),
        (("loopback",), "::1", True),
        (("loopback",), "::ffff:127.0.0.1", True),
        (("loopback",), "unix:", True),
        (("loopback",), "10.0.0.1", False),
        (("private",), "172.16.5.4", True),
        (("private",), "fd00::1", True),
        (("private",), "172.32.0.1", False),
        (("192.0.2.0/24", "2001:db8::/32"), "192.0.2.7", True),
        (("192.0.2.0/24", "2001:db8::/32"), "2001:db8::7", True),
        (("192.0.2.0/24", "2001:db8::/32"), "127.0.0.1", False),
        (("192.0.2.0/24",), "unix:", False),
        (("192.0.2.7",), "192.0.2.8", False),
        (("all",), "8.8.8.8", True),
        ((), "127.0.0.1", False),
        (("all",), "no address", False),
    ],
)
def test_who_is_trusted(trusted: tuple[str, ...], peer: str, believed: bool) -> None:
    forwarding = Forwarding(Settings(trusted_proxies=trusted))
    for _ in range(2):  # the second time by memory
        assert forwarding.trusts(Address(peer, 1)) is believed


def test_peers_that_are_remembered_do_not_pile_up() -> None:
    forwarding = Forwarding(Settings())
    for number in range(5000):
        forwarding.trusts(Address(f"10.0.{number // 256}.{number % 256}", 1))
    assert len(forwarding._known) <= 4096


def test_the_server_applies_it() -> None:
    app = App()

    @app.get("/")
    async def who(request: Request) -> Response:
        assert request.client is not None
        return Response(f"{request.client.host} {request.scheme}")

    fields = {"X-Forwarded-For": ADA, "X-Forwarded-Proto": "https"}
    with Client(app) as client:
        assert client.get("/", headers=fields).text == f"{ADA} https"
    with Client(app, trusted_proxies=("10.0.0.0/8",)) as client:
        assert client.get("/", headers=fields).text == "127.0.0.1 http"
