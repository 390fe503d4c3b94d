"""What the stack of `docker compose up --wait` serves, through each proxy, from real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h11
import pytest
from wsproto.events import CloseConnection, TextMessage

from stack.matrix.client import Socket, connected
from tests.compose.compose import PROXIES, Compose, docker, request
from tests.kit import eventually

pytestmark = [pytest.mark.docker]


@pytest.fixture
def email() -> str:
    """An address nobody else has."""
    return f"{secrets.token_hex(8)}@example.org"


def test_everything_is_healthy_and_what_runs_once_has_ended_well(compose: Compose) -> None:
    for service, count in {"app": 2, "db": 1, "caddy": 1, "nginx": 1, "apache": 1}.items():
        states = [container["State"] for container in compose.inspect(service)]
        assert [state["Health"]["Status"] for state in states] == ["healthy"] * count, service
    for service in ("secrets", "migrate"):
        (container,) = compose.inspect(service, everything=True)
        assert (container["State"]["Status"], container["State"]["ExitCode"]) == ("exited", 0), service


def test_nothing_has_to_be_set(compose: Compose) -> None:
    told = compose("--profile", "*", "config", "--quiet", check=False)
    assert told == ""


def test_each_replica_has_two_workers(compose: Compose) -> None:
    seen: dict[str, set[int]] = {}

    def all_answered() -> bool:
        for answer in pool.map(lambda _: request(compose.url("caddy", "/whoami")).data, range(64)):
            seen.setdefault(answer["hostname"], set()).add(answer["pid"])
        return [len(pids) for pids in seen.values()] == [2, 2]

    with ThreadPoolExecutor(16) as pool:
        eventually(all_answered, "two workers of each of two replicas answer")


def test_users_are_created_read_changed_and_deleted(compose: Compose, proxy: str, email: str) -> None:
    users = compose.url(proxy, "/simple/users")
    created = request(users, method="POST", data={"name": "Ada", "email": email})
    assert created.status == 201
    user = f"{compose.url(proxy, '')}{created.headers['Location']}"
    assert compose.sql(f"SELECT name FROM simple.users WHERE email = '{email}'") == "Ada"

    assert request(user).data["email"] == email
    assert request(user, method="PATCH", data={"name": "Ada L"}).status == 200
    for other in PROXIES:  # the state is in no replica and behind no proxy of its own
        path = created.headers["Location"]
        assert request(compose.url(other, path)).data["name"] == "Ada L"

    assert request(user, method="DELETE").status == 204
    assert request(user).status == 404
    assert compose.sql(f"SELECT count(*) FROM simple.users WHERE email = '{email}'") == "0"


def test_products_are_created_and_deleted(compose: Compose, proxy: str) -> None:
    product = {"sku": f"TEST-{secrets.token_hex(6)}".upper(), "name": "Bollard", "price_cents": 1999}
    created = request(compose.url(proxy, "/database/products"), method="POST", data=product)
    assert created.status == 201
    assert compose.sql(f"SELECT name FROM database.products WHERE sku = '{product['sku']}'") == "Bollard"
    path = created.headers["Location"]
    assert product.items() <= request(compose.url(proxy, path)).data.items()
    assert request(compose.url(proxy, path), method="DELETE").status == 204


def test_what_a_client_claims_to_be_is_not_believed(compose: Compose, proxy: str) -> None:
    spoofed = {
        "Forwarded": "for=6.6.6.6;proto=https;host=evil.example",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "6.6.6.6",
        "Proxy": "evil.example",
    }
    seen: dict[str, Any] = request(compose.url(proxy, "/whoami?a=b"), headers=spoofed).data
    gateways = {
        network["Gateway"] for network in compose.inspect(proxy)[0]["NetworkSettings"]["Networks"].values()
    }
    assert seen["client"]["host"] in gateways, "the host of the containers is who asked"
    assert seen["scheme"] == "http"
    assert seen["host"] == f"127.0.0.1:{compose.ports[proxy]}"
    assert seen["target"] == "/whoami?a=b"
    assert "evil" not in str(seen)
    assert "6.6.6.6" not in str(seen)


def test_the_request_id_is_the_same_everywhere(compose: Compose, proxy: str) -> None:
    mine = f"test-{secrets.token_hex(8)}"
    answer = request(compose.url(proxy, "/whoami"), headers={"X-Request-Id": mine})
    assert answer.data["request_id"] == mine
    assert answer.headers["X-Request-Id"] == mine
    eventually(lambda: mine in compose("logs", "--no-color", proxy), f"{proxy} logs the request")
    eventually(lambda: mine in compose("logs", "--no-color", "app"), "the application logs the request")


async def test_a_websocket_passes(compose: Compose, proxy: str) -> None:
    async with connected(compose.ports[proxy]) as connection, asyncio.timeout(60):
        host = f"127.0.0.1:{compose.ports[proxy]}"
        socket = await Socket.open(connection, "/echo", host=host, fields=[("Origin", f"http://{host}")])
        for number in range(3):
            await socket.send(TextMessage(f"message {number}"))
            text = await socket.receive()
            assert isinstance(text, TextMessage)
            assert text.data == f"message {number}"
        await socket.send(CloseConnection(code=1000))
        assert isinstance(await socket.receive(), CloseConnection)


async def test_events_arrive_one_by_one(compose: Compose, proxy: str) -> None:
    clock = asyncio.get_running_loop().time
    async with connected(compose.ports[proxy]) as client, asyncio.timeout(60):
        await client.head("/ticks?count=3&interval=0.3", [("Accept", "text/event-stream")])
        await client.end()
        arrived: list[float] = []
        while not isinstance(event := await client.event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                arrived += [clock()] * bytes(event.data).count(b"\ndata:")
    assert len(arrived) == 3
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert min(gaps) > 0.1, f"they came together: {gaps}"


def test_data_and_secrets_outlive_the_containers(compose: Compose, email: str) -> None:
    location = request(
        compose.url("caddy", "/simple/users"), method="POST", data={"name": "Grace", "email": email}
    ).headers["Location"]
    compose("down", "--timeout", "20")
    assert compose.left()["containers"] == []
    compose("up", "--wait")
    for proxy in PROXIES:
        assert request(compose.url(proxy, location)).data["name"] == "Grace"
    assert request(compose.url("caddy", location), method="DELETE").status == 204


def test_the_load_tools_work(compose: Compose) -> None:
    told = compose("run", "--rm", "wrk", "-t1", "-c4", "-d1s", "http://nginx:8082/")
    assert "Requests/sec" in told
    assert "Non-2xx" not in told
    # What ends by itself would have `up --wait` fail.
    assert "wrk" not in compose("--profile", "load", "config", "--services").split()
    compose("--profile", "load", "up", "--wait", "--scale", "locust-worker=3", "locust", "locust-worker")
    master = f"http://127.0.0.1:{compose.ports['locust']}"
    page = request(f"{master}/")
    assert (page.status, b"Locust" in page.body) == (200, True)
    eventually(lambda: len(request(f"{master}/stats/requests").data["workers"]) == 3, "three workers report")
    # What its page sends when somebody presses Start.
    form = b"user_count=6&spawn_rate=6&host=http://nginx:8082/simple"
    with urllib.request.urlopen(f"{master}/swarm", form, timeout=60) as answer:
        assert json.load(answer)["success"] is True

    def requests() -> int:
        stats = request(f"{master}/stats/requests").data
        assert stats["fail_ratio"] == 0, stats["errors"]
        return int(stats["stats"][-1]["num_requests"])

    eventually(lambda: requests() > 50, "the workers' requests are counted")
    compose("--profile", "load", "rm", "--force", "--stop", "locust", "locust-worker")


def test_logs_name_the_request_and_hold_no_password(compose: Compose) -> None:
    request(compose.url("nginx", "/whoami?password=hunter2"))
    logs = compose("logs", "--no-color")
    password = docker("exec", compose.containers("app")[0], "cat", "/run/secrets/app_password").strip()
    assert len(password) == 64
    assert password not in logs
    assert "hunter2" not in "".join(compose("logs", "--no-color", *PROXIES))
