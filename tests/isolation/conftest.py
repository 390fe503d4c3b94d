"""One server for all tests of isolation that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.certificates import make_certificate
from tests.isolation.harness import APP
from tests.supervisor.harness import Pierhead


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    """One worker, which has all the time of the world, and speaks TLS too."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"), "test", "IP:127.0.0.1")
    options = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    yield from _run(tmp_path_factory, *options, "--listen", "https://127.0.0.1:0")


@pytest.fixture(scope="package")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    """One worker, where a request may say nothing for four seconds, and a process be idle for less."""
    options = ["--isolation-timeout-s", "4", "--isolation-idle-timeout-s", "0.2"]
    yield from _run(tmp_path_factory, *options)


def _run(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Iterator[Pierhead]:
    folder = tmp_path_factory.mktemp("isolation")
    narrow = f"http://unix:{folder}/narrow?max_buffered_body_bytes=10&max_websocket_message_bytes=10"
    options = (*options, "--control-socket", str(folder / "control"), "--listen", narrow)
    options = (*options, "--isolation-queue-timeout-s", "60")
    with Pierhead(folder, *options, source=APP, workers=1) as running:
        yield running
