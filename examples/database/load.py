"""Load for this example: many reads, some writes. Every answer is checked, and a wrong one is a failure.

Run `locust -f load.py --host http://127.0.0.1:8080` and open http://127.0.0.1:8089, or without the page:
`locust -f load.py --host http://127.0.0.1:8080 --headless --users 20 --run-time 10s`.
In the stack the host ends in the prefix: `--host http://127.0.0.1:8080/database`.

Each simulated client makes a product of its own, works on it, and deletes it at the end.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, constant, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.exception import StopUser


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


class DatabaseClient(FastHttpUser):
    """Reads twelve times for each write, without a pause."""

    wait_time = constant(0)
    url = ""

    def on_start(self) -> None:
        """Create the product; without it there is nothing to do."""
        product = {"sku": f"LOAD-{uuid.uuid4().hex}".upper(), "name": "Load", "price_cents": 100}
        with self.client.post(
            "/products", json=product, name="POST /products", catch_response=True
        ) as answer:
            self.product = checked(answer, 201, lambda data: product.items() <= data.items())
        if self.product is None:
            raise StopUser
        self.url = f"/products/{self.product['id']}"

    def on_stop(self) -> None:
        """Delete the product."""
        if self.url:
            self.client.delete(self.url, name="DELETE /products/ID")

    @task(8)
    def read(self) -> None:
        """Read the product: it is what was written last."""
        with self.client.get(self.url, name="GET /products/ID", catch_response=True) as answer:
            checked(answer, 200, lambda data: data == self.product)

    @task(4)
    def read_page(self) -> None:
        """Read a page of products."""
        with self.client.get("/products?limit=10", name="GET /products", catch_response=True) as answer:
            checked(answer, 200, lambda data: 1 <= len(data.get("products", ())) <= 10)

    @task(1)
    def change(self) -> None:
        """Change the stock."""
        stock = self.product["stock"] + 1
        body = {"stock": stock, "version": self.product["version"]}
        with self.client.patch(self.url, json=body, name="PATCH /products/ID", catch_response=True) as answer:
            self.product = checked(answer, 200, lambda data: data.get("stock") == stock) or self.product
