"""Load for this example: shoppers who look at products, and some who log in and add one.

Run `locust -f load.py --host http://127.0.0.1:8080` and open http://127.0.0.1:8089, or without the page:
`locust -f load.py --host http://127.0.0.1:8080 --headless --users 20 --run-time 10s`.
In the stack the host ends in the prefix: `--host http://127.0.0.1:8080/hexagonal`.

Each simulated client registers and logs in; that is where the processors' time goes. What they leave behind
stays: the shop deletes neither users nor products. Every answer is checked, and a wrong one is a failure.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, constant, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.exception import StopUser

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


def checked(answer: ResponseContextManager, status: int, right: Callable[[Any], bool]) -> Any:
    """Return the JSON of `answer`; if anything is wrong with it, mark it as failed and return None."""
    if answer.status_code != status:
        answer.failure(f"{answer.status_code} instead of {status}")
        return None
    try:
        data = answer.json()
    except ValueError:
        data = None
    if not isinstance(data, dict) or not right(data):
        answer.failure("the wrong content")
        return None
    return data


class Shopper(FastHttpUser):
    """Reads fifty times for each login, without a pause."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Register, log in, and add a product to look at."""
        self.email = f"load-{uuid.uuid4()}@example.org"
        user = {"email": self.email, "name": "Load", "password": PASSWORD}
        with self.client.post("/users", json=user, name="POST /users", catch_response=True) as answer:
            if checked(answer, 201, lambda data: data.get("email") == self.email) is None:
                raise StopUser
        self.headers: dict[str, str] = {}
        self.log_in()
        product = {"sku": f"LOAD-{uuid.uuid4().hex}".upper(), "name": "Load", "price_cents": 100}
        with self.client.post(
            "/products", json=product, headers=self.headers, name="POST /products", catch_response=True
        ) as answer:
            self.product = checked(answer, 201, lambda data: product.items() <= data.items())
        if self.product is None:
            raise StopUser

    @task(1)
    def log_in(self) -> None:
        """Begin another session."""
        body = {"email": self.email, "password": PASSWORD}
        with self.client.post("/login", json=body, name="POST /login", catch_response=True) as answer:
            session = checked(answer, 200, lambda data: data["user"]["email"] == self.email)
        if session is not None:
            self.headers = {"Authorization": f"Bearer {session['token']}"}

    @task(30)
    def read(self) -> None:
        """Read the product."""
        url = f"/products/{self.product['id']}"
        with self.client.get(url, name="GET /products/ID", catch_response=True) as answer:
            checked(answer, 200, lambda data: data == self.product)

    @task(10)
    def read_page(self) -> None:
        """Read a page of products."""
        with self.client.get("/products?limit=10", name="GET /products", catch_response=True) as answer:
            checked(answer, 200, lambda data: 1 <= len(data.get("products", ())) <= 10)

    @task(10)
    def who_am_i(self) -> None:
        """Ask whose token it is."""
        with self.client.get("/me", headers=self.headers, name="GET /me", catch_response=True) as answer:
            checked(answer, 200, lambda data: data.get("email") == self.email)
