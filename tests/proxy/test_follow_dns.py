"""proxy/apache/follow-dns: httpd keeps up with the addresses behind a name."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stack.matrix.client import fetch
from stack.matrix.programs import Apache
from stack.service import Service
from tests.proxy.upstream import Upstream, running_upstream

pytestmark = [
    pytest.mark.apache,
    pytest.mark.skipif(Apache.missing() is not None, reason=Apache.missing() or ""),
]


class Following(Apache):
    """httpd started by the script, where the name service answers what is in the file `addresses`."""

    def service(self) -> Service:
        service = super().service()
        copy = service.cwd
        (copy / "site" / "members.conf").unlink()  # is for the script to write
        (copy / "run" / "run").mkdir(exist_ok=True)
        commands = self.folder / "bin"
        commands.mkdir(exist_ok=True)
        getent = commands / "getent"
        getent.write_text(
            '#!/bin/sh\n[ "$*" = "ahostsv4 application" ] || exit 9\n'
            f"while read -r address; do echo $address STREAM x; done <'{self.folder}/addresses'\n"
        )
        getent.chmod(0o755)
        environment = {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "UPSTREAM_NAME": "application",
            "UPSTREAM_PORT": str(self.upstreams[0]),
            "HTTPD": service.argv[0],
            "RUN": str(copy / "run"),
            "INTERVAL": "0.05",
        }
        return replace(service, argv=["sh", str(copy / "follow-dns")], env={**service.env, **environment})

    def resolve_to(self, *addresses: str) -> None:
        """Let the name have other addresses from now on."""
        new = self.folder / "addresses.new"
        new.write_text("".join(f"{address}\n" for address in addresses))
        new.replace(self.folder / "addresses")

    async def until_said(self, text: str) -> None:
        """Wait until the script has reported something."""
        async with asyncio.timeout(60):
            while text not in self.complaints():  # noqa: ASYNC110 - another process: there is no event
                await asyncio.sleep(0.02)


@pytest.fixture
async def other(upstream: Upstream) -> AsyncIterator[Upstream]:
    """A second server, on the same port of another address."""
    async with running_upstream(host="127.0.0.2", port=upstream.port) as other:
        yield other


@pytest.fixture
async def following(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Following]:
    """The script, with the name at 127.0.0.1."""
    following = Following(tmp_path, [upstream.port])
    following.resolve_to("127.0.0.1")
    async with following:
        yield following


async def test_a_new_address_is_used_and_no_request_fails(
    following: Following, upstream: Upstream, other: Upstream
) -> None:
    assert (await fetch(following.port)).status == 200
    following.resolve_to("127.0.0.1", "127.0.0.2")
    async with asyncio.timeout(60):
        while not other.seen:
            assert (await fetch(following.port)).status == 200
    assert upstream.seen


async def test_all_addresses_may_be_replaced_at_once(
    following: Following, upstream: Upstream, other: Upstream
) -> None:
    following.resolve_to("127.0.0.2")
    await following.until_said("application: 127.0.0.2")
    await upstream.stop()
    async with asyncio.timeout(60):
        while not other.seen:
            assert (await fetch(following.port)).status in (200, 503)  # 503 until httpd has reloaded
    assert (await fetch(following.port)).status == 200
    await upstream.start()


async def test_it_finds_httpd_wherever_that_has_its_pid_file(
    upstream: Upstream, other: Upstream, tmp_path: Path
) -> None:
    more = {"site.conf": "PidFile elsewhere.pid\n"}  # as the shipped site.conf for containers has it
    following = Following(tmp_path, [upstream.port], more=more)
    following.resolve_to("127.0.0.1")
    async with following:
        following.resolve_to("127.0.0.1", "127.0.0.2")
        async with asyncio.timeout(60):
            while not other.seen:
                assert (await fetch(following.port)).status == 200


async def test_the_last_of_many_changes_is_not_lost(
    following: Following, upstream: Upstream, other: Upstream
) -> None:
    """httpd hears nothing while it reloads."""
    for number in range(30):
        following.resolve_to("127.0.0.1", f"127.0.0.{number + 3}")
        await following.until_said(f"application: 127.0.0.1 127.0.0.{number + 3}")
    following.resolve_to("127.0.0.2")
    async with asyncio.timeout(60):
        while not other.seen:
            assert (await fetch(following.port)).status in (200, 503)


async def test_a_name_service_that_knows_nothing_is_not_believed(following: Following) -> None:
    following.resolve_to()
    async with asyncio.timeout(60):
        for _ in range(20):
            assert (await fetch(following.port)).status == 200
            await asyncio.sleep(0.01)
    assert "127.0.0.1" in (following.folder / "apache/run/site/members.conf").read_text()


async def test_it_starts_before_the_application(upstream: Upstream, tmp_path: Path) -> None:
    following = Following(tmp_path, [upstream.port])
    following.resolve_to()
    async with following:
        assert (await fetch(following.port)).status == 503
        following.resolve_to("127.0.0.1")
        await following.until_said("application: 127.0.0.1")
        async with asyncio.timeout(60):
            while (await fetch(following.port)).status != 200:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGWINCH], ids=["at once", "after open requests"])
async def test_it_ends_with_httpd_and_its_exit_code(following: Following, how: signal.Signals) -> None:
    assert (await fetch(following.port)).status == 200  # before it answers, a signal finds httpd unprepared
    assert following.process is not None
    following.process.send_signal(how)
    async with asyncio.timeout(60):  # 30 s of them are GracefulShutdownTimeout: the machine may be busy
        assert await following.process.wait() == 0
    assert not (following.folder / "apache/run/httpd.pid").exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGWINCH], ids=["at once", "after open requests"])
async def test_a_stop_while_httpd_starts_is_not_forgotten(
    upstream: Upstream, tmp_path: Path, how: signal.Signals
) -> None:
    following = Following(tmp_path, [upstream.port])
    following.resolve_to("127.0.0.1")
    service = following.service()
    process = await asyncio.create_subprocess_exec(*service.argv, env=dict(service.env))
    async with asyncio.timeout(60):
        while not (following.folder / "apache/run/site/members.conf").exists():  # noqa: ASYNC110 - httpd comes next
            await asyncio.sleep(0.001)
        process.send_signal(how)
        assert await process.wait() in (0, 128 + how)  # 143: httpd knew of no signals yet


async def test_a_configuration_that_httpd_refuses_ends_it(upstream: Upstream, tmp_path: Path) -> None:
    following = Following(tmp_path, [upstream.port])
    following.resolve_to("127.0.0.1")
    service = following.service()
    with (service.cwd / "site/site.conf").open("a") as site:
        site.write("Nonsense On\n")
    process = await asyncio.create_subprocess_exec(
        *service.argv, env=dict(service.env), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"Nonsense" in errors
