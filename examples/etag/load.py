"""Load for this example: reads that are answered with 304, and writes that must know the version.

Run `locust -f load.py --host http://127.0.0.1:8080` and open http://127.0.0.1:8089, or without the page:
`locust -f load.py --host http://127.0.0.1:8080 --headless --users 20 --run-time 10s`.
In the stack the host ends in the prefix: `--host http://127.0.0.1:8080/etag`.

Each simulated client makes a user of its own, works on it, and deletes it at the end.
"""

from __future__ import annotations

from locust import FastHttpUser, constant, task
from locust.exception import StopUser

ABOUT = "Some text that is worth compressing. " * 100


class EtagClient(FastHttpUser):
    """Reads ten times for each write, without a pause."""

    wait_time = constant(0)
    url = ""
    etag = ""

    def on_start(self) -> None:
        """Create the user; without it there is nothing to do."""
        with self.client.post(
            "/user", json={"name": "Load", "about": ABOUT}, name="POST /user", catch_response=True
        ) as answer:
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code} instead of 201")
                raise StopUser
            self.url = f"/user/{answer.json()['id']}"
        self.read(200)

    def on_stop(self) -> None:
        """Delete the user."""
        if self.url:
            self.client.delete(self.url, headers={"If-Match": "*"}, name="DELETE /user/ID")

    def read(self, expected: int) -> None:
        """Read the user with the tag that is known; the tag of a 200 is the one to know from now on."""
        fields = {"If-None-Match": self.etag} if self.etag else {}
        name = f"GET /user/ID {expected}"
        with self.client.get(self.url, headers=fields, name=name, catch_response=True) as answer:
            if answer.status_code != expected:
                answer.failure(f"{answer.status_code} instead of {expected}")
            elif expected == 200:
                self.etag = answer.headers["ETag"]

    def write(self, etag: str, expected: int) -> None:
        """Replace the user."""
        with self.client.put(
            self.url,
            json={"name": "Load", "about": ABOUT},
            headers={"If-Match": etag},
            name=f"PUT /user/ID {expected}",
            catch_response=True,
        ) as answer:
            if answer.status_code == expected:
                answer.success()  # also when it is a 412
            else:
                answer.failure(f"{answer.status_code} instead of {expected}")

    @task(10)
    def read_again(self) -> None:
        """Read what is known already."""
        self.read(304)

    @task(1)
    def change(self) -> None:
        """Change the user, try the same once more, and read what became of it."""
        self.write(self.etag, 204)
        self.write(self.etag, 412)
        self.read(200)
