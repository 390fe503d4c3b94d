"""Changes that must not get in each other's way: versions, and transactions over more than one product."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import psycopg
import pytest

from pierhead.testing import Client, ClientResponse

ROPE = {"sku": "ROPE-20", "name": "Rope, 20 m", "price_cents": 2490, "stock": 7}
BUOY = {"sku": "BUOY", "name": "Buoy", "price_cents": 995, "stock": 0}


def created(client: Client, product: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/products", json=product)
    assert response.status == 201, response.text
    found: dict[str, Any] = response.json()
    return found


def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    assert response.status == status, response.text
    details: dict[str, Any] = response.json()
    return details


# Optimistic locking: nobody waits, and nobody overwrites what they have not seen


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_version_that_is_no_longer_current_changes_nothing(client: Client, method: str) -> None:
    product = created(client, ROPE)
    url = f"/products/{product['id']}"
    changed = client.patch(url, json={"stock": 6, "version": 1}).json()
    details = problem(client.request(method, url, json=product | {"stock": 8}), 409)
    assert details["detail"] == "this product has been changed since: it has version 2 now"
    assert details["current"] == changed
    assert client.get(url).json() == changed
    again = client.request(method, url, json=details["current"] | {"stock": 8})
    assert (again.status, again.json()["version"]) == (200, 3)


@pytest.mark.parametrize("body", [{"stock": 1}, {"stock": 1, "version": "1"}, {"stock": 1, "version": True}])
def test_a_change_without_a_version_is_422(client: Client, body: dict[str, Any]) -> None:
    product = created(client, ROPE)
    errors = problem(client.patch(f"/products/{product['id']}", json=body), 422)["errors"]
    assert [error["pointer"] for error in errors] == ["#/version"]


def test_of_all_who_change_the_same_version_one_succeeds(client: Client) -> None:
    url = f"/products/{created(client, ROPE)['id']}"

    def change(stock: int) -> int:
        return client.patch(url, json={"stock": stock, "version": 1}).status

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(change, range(8)))
    assert statuses == [200] + [409] * 7
    assert client.get(url).json()["version"] == 2


def test_read_and_try_again_loses_no_change(client: Client) -> None:
    url = f"/products/{created(client, BUOY)['id']}"

    def add_one(_: int) -> None:
        for _attempt in range(100):
            product = client.get(url).json()
            change = {"stock": product["stock"] + 1, "version": product["version"]}
            if client.patch(url, json=change).status == 200:
                return
        raise AssertionError("a hundred attempts were not enough")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add_one, range(12)))
    assert client.get(url).json()["stock"] == 12


# Transactions: both products change, or neither does


def test_stock_is_moved(client: Client) -> None:
    rope, buoy = created(client, ROPE), created(client, BUOY)
    response = client.post("/transfers", json={"from": rope["id"], "to": buoy["id"], "quantity": 3})
    assert response.status == 200, response.text
    moved = response.json()
    assert (moved["from"]["stock"], moved["to"]["stock"]) == (4, 3)
    assert (moved["from"]["version"], moved["to"]["version"]) == (2, 2)
    assert client.get(f"/products/{buoy['id']}").json() == moved["to"]


def test_what_is_not_there_is_not_moved(client: Client) -> None:
    rope, buoy = created(client, ROPE), created(client, BUOY | {"stock": 2**31 - 1})

    def moved(source: int, target: int, quantity: int, status: int) -> str:
        body = {"from": source, "to": target, "quantity": quantity}
        return str(problem(client.post("/transfers", json=body), status)["detail"])

    assert moved(rope["id"], buoy["id"], 8, 409) == f"product {rope['id']} has 7 in stock, not 8"
    assert "no room for 1" in moved(rope["id"], buoy["id"], 1, 409)
    assert moved(rope["id"], 2**31 - 1, 1, 404) == f"there is no product {2**31 - 1}"
    assert moved(0, buoy["id"], 1, 404) == "there is no product 0"
    for source, target, quantity in ((rope["id"], rope["id"], 1), (rope["id"], buoy["id"], 0)):
        assert moved(source, target, quantity, 422).startswith("a transfer has from and to")
    for body in ([], {}, {"from": 1, "to": 2, "quantity": "3"}, {"from": True, "to": 2, "quantity": 3}):
        problem(client.post("/transfers", json=body), 422)
    assert [client.get(f"/products/{one['id']}").json() for one in (rope, buoy)] == [rope, buoy]


def test_a_transfer_that_fails_half_way_has_never_been(
    module: ModuleType, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first change is -3, the second one +3: that one divides by zero.
    monkeypatch.setattr(module, "MOVE", module.MOVE.replace("+ %(change)s", "- 1 / (%(change)s - 3)"))
    with Client(module.app) as client:
        rope, buoy = created(client, ROPE), created(client, BUOY)
        body = {"from": rope["id"], "to": buoy["id"], "quantity": 3}
        assert client.post("/transfers", json=body).status == 500
        assert [client.get(f"/products/{one['id']}").json() for one in (rope, buoy)] == [rope, buoy]


def test_transfers_in_all_directions_lose_nothing_and_do_not_block_each_other(client: Client) -> None:
    ids = [created(client, ROPE | {"sku": f"ROPE-{n}", "stock": 100})["id"] for n in range(3)]
    pairs = list(itertools.permutations(ids, 2)) * 10

    def move(pair: tuple[int, int]) -> int:
        return client.post("/transfers", json={"from": pair[0], "to": pair[1], "quantity": 1}).status

    with ThreadPoolExecutor(5) as threads:
        assert set(threads.map(move, pairs)) == {200}
    assert [client.get(f"/products/{product_id}").json()["stock"] for product_id in ids] == [100] * 3
