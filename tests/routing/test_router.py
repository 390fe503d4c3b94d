"""Router: which routes a path leads to, and in which order."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.routing import Converters, Handler, Mount, Router, parse_pattern


def make(*patterns: str) -> Router[str]:
    converters = Converters()
    converters.add("slug", "[a-z0-9-]+")
    router: Router[str] = Router(converters)
    for pattern in patterns:
        router.add(parse_pattern(pattern), ["GET"], Handler(lambda request: None))
    return router


def find(router: Router[str], path: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what a path leads to, as (pattern, parameters)."""
    found: list[tuple[str, dict[str, Any]]] = []
    for place, values, _ in router.matches(path):
        if isinstance(place, Mount):
            found.append((f"mount {place.prefix}", {}))
        else:
            route = place.methods["GET"]
            found.append((route.pattern.text, dict(zip(route.names, values, strict=True))))
    return found


def test_the_most_specific_route_comes_first_whatever_the_order_of_definition() -> None:
    patterns = [
        "/{rest:path}",
        "/user/{name}",
        "/user/{slug:slug}",
        "/user/{x:float}",
        "/user/{id:int}",
        "/user/{rest:path}",
        "/user/7",
    ]
    order = ["/user/7", "/user/{id:int}", "/user/{x:float}", "/user/{slug:slug}", "/user/{name}"]
    order += ["/user/{rest:path}", "/{rest:path}"]
    for router in (make(*patterns), make(*reversed(patterns))):
        assert [pattern for pattern, _ in find(router, "/user/7")] == order


def test_text_that_leads_nowhere_gives_way_to_a_parameter() -> None:
    router = make("/a/b/c", "/{x}/b/{y}", "/a/{z:int}/d")
    assert find(router, "/a/b/e") == [("/{x}/b/{y}", {"x": "a", "y": "e"})]
    assert find(router, "/a/1/d") == [("/a/{z:int}/d", {"z": 1})]
    assert find(router, "/a/1/e") == []


def test_routes_at_one_place_name_their_parameters_themselves() -> None:
    router = make("/user/{id}")
    router.add(parse_pattern("/user/{name}"), ["POST"], Handler(lambda request: None))
    place, values, _ = next(router.matches("/user/ada"))
    assert not isinstance(place, Mount)
    assert (place.methods["GET"].names, place.methods["POST"].names, values) == (("id",), ("name",), ("ada",))


@pytest.mark.parametrize("path", ["/users/", "//users", "/Users", "/users/x", "/user", "/", "", "*"])
def test_a_path_matches_as_a_whole(path: str) -> None:
    assert find(make("/users"), path) == []


def test_segments_are_decoded_each_on_its_own() -> None:
    router = make("/café/{name}", "/a/b")
    assert find(router, "/caf%C3%A9/J%C3%BCrgen%20x") == [("/café/{name}", {"name": "Jürgen x"})]
    assert find(router, "/caf%c3%a9/a%2Fb") == [("/café/{name}", {"name": "a/b"})]
    assert find(router, "/%61/b") == [("/a/b", {})]
    assert find(router, "/a%2Fb") == []


def test_a_pattern_with_a_percent_sign_is_the_decoded_path() -> None:
    router = make("/100%", "/a%2Fb")
    assert find(router, "/100%25") == [("/100%", {})]
    assert find(router, "/a%2Fb") == []
    assert router.fixed("/a%2Fb", "GET") is None


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert find(make("/{name}"), "/%ff") == [("/{name}", {"name": "\ufffd"})]


def test_a_parameter_is_not_empty() -> None:
    router = make("/user/{name}", "/user/{name}/x")
    assert find(router, "/user/") == []
    assert find(router, "/user//x") == []


def test_a_path_parameter_takes_the_rest_even_if_that_is_nothing() -> None:
    router = make("/files/{rest:path}")
    assert find(router, "/files/") == [("/files/{rest:path}", {"rest": ""})]
    assert find(router, "/files/a//b/") == [("/files/{rest:path}", {"rest": "a//b/"})]
    assert find(router, "/files/a%20b/c%2Fd") == [("/files/{rest:path}", {"rest": "a b/c/d"})]
    assert find(router, "/files") == []


@pytest.mark.parametrize(
    "path",
    [
        "/.",
        "/..",
        "/%2e%2e",
        "/.%2E",
        "/%2e",
        "/..%2Fetc",
        "/a%2F..",
        "/a%2f%2e%2e%2fb",
        "/%00",
        "/a%00b",
    ],
)
def test_no_parameter_is_or_hides_a_dot_segment_or_nul(path: str) -> None:
    assert find(make("/{name}", "/{rest:path}"), path) == []
    assert find(make("/x/{rest:path}"), "/x/a" + path) == []


def test_names_that_only_look_like_dot_segments_are_fine() -> None:
    for name in ("...", "..a", ".a", "a..", "%2e%2e%2e"):
        assert len(find(make("/{name}", "/{rest:path}"), f"/{name}")) == 2


def test_mounts_come_last_the_longest_first() -> None:
    router = make("/shop/{id:int}", "/shop/{rest:path}")
    for prefix in ("", "/shop", "/shop/admin"):
        router.mount(prefix, prefix)
    assert find(router, "/shop/7") == [
        ("/shop/{id:int}", {"id": 7}),
        ("/shop/{rest:path}", {"rest": "7"}),
        ("mount /shop", {}),
        ("mount ", {}),
    ]
    assert [name for name, _ in find(router, "/shop/admin/x")] == [
        "mount /shop/admin",
        "/shop/{rest:path}",
        "mount /shop",
        "mount ",
    ]
    assert find(router, "/shopping") == [("mount ", {})]
    assert find(router, "/shop") == [("mount /shop", {}), ("mount ", {})]


def test_head_is_the_get_route_unless_it_has_its_own() -> None:
    router = make("/a")
    get = router.fixed("/a", "GET")
    assert router.fixed("/a", "HEAD") is get
    router.add(parse_pattern("/a"), ["HEAD"], Handler(lambda request: None))
    assert router.fixed("/a", "HEAD") is not get
    router.add(parse_pattern("/b"), ["HEAD"], Handler(lambda request: None))
    head = router.fixed("/b", "HEAD")
    router.add(parse_pattern("/b"), ["GET"], Handler(lambda request: None))
    assert router.fixed("/b", "HEAD") is head


def test_a_second_handler_is_refused_and_leaves_no_half_route() -> None:
    router = make("/user/{id:int}")
    with pytest.raises(
        ValueError, match=r"GET /user/\{n:int\} has a handler already: .* at /user/\{id:int\} \(.*\.py:"
    ):
        router.add(parse_pattern("/user/{n:int}"), ["POST", "GET"], Handler(lambda request: None))
    place, _, _ = next(router.matches("/user/1"))
    assert not isinstance(place, Mount)
    assert sorted(place.methods) == ["GET", "HEAD"]
    router.add_websocket(parse_pattern("/echo"), Handler(lambda socket: None))
    with pytest.raises(ValueError, match="the WebSocket at /echo has a handler already"):
        router.add_websocket(parse_pattern("/echo"), Handler(lambda socket: None))


@pytest.mark.parametrize("prefix", ["shop", "/shop/", "/", "/{tenant}", "/a/../b"])
def test_a_prefix_is_text(prefix: str) -> None:
    with pytest.raises(ValueError):
        make().mount(prefix, "app")


def test_a_prefix_is_mounted_once() -> None:
    router = make()
    router.mount("/shop", "one")
    with pytest.raises(ValueError, match="/shop has an application already"):
        router.mount("/shop", "two")


def test_an_unknown_converter_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no converter 'number'"):
        make("/{id:number}")


@given(st.text(alphabet="ab/.%0 2fF{é\x00", max_size=40))
def test_whatever_the_path_no_parameter_is_dangerous(path: str) -> None:
    router = make("/{a}", "/{a}/{b}", "/{rest:path}", "/a/{rest:path}", "/{n:int}/{s:slug}")
    for _, params in find(router, "/" + path):
        for value in params.values():
            assert "\0" not in str(value)
            assert not {".", ".."} & set(str(value).split("/"))


def test_the_work_does_not_grow_with_the_number_of_routes() -> None:
    """A look-up among many routes visits the nodes of its own path only."""

    def seconds(router: Router[str]) -> float:
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(200):
                next(router.matches("/resource7/12/items/9"))
            best = min(best, time.perf_counter() - began)
        return best

    few = make(*(f"/resource{n}/{{id:int}}/items/{{item:int}}" for n in range(8)))
    many = make(*(f"/resource{n}/{{id:int}}/items/{{item:int}}" for n in range(2000)))
    assert seconds(many) < 5 * seconds(few)


def test_long_paths_cost_no_more_than_their_length() -> None:
    router = make(*("/" + "/".join(f"{{p{n}:{kind}}}" for n in range(6)) for kind in ("int", "slug", "str")))
    visited = 0

    def count(text: str) -> str:
        nonlocal visited
        visited += 1
        return text

    router._converters.add("count", count)
    router.add(parse_pattern("/" + "/".join(f"{{p{n}:count}}" for n in range(6))), ["GET"], Handler(print))
    assert find(router, "/1" * 4000) == []
    assert visited == 6  # one for each node of the tree, none for the rest of the path


def test_a_fixed_path_allocates_nothing() -> None:
    router = make("/hello")
    router.fixed("/hello", "GET")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            router.fixed("/hello", "GET")
        assert tracemalloc.get_traced_memory()[0] - before < 1000
    finally:
        tracemalloc.stop()
