"""The reception: who asks at the control socket is heard and answered, some once it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pierhead.supervisor.channel import Channel
from pierhead.supervisor.control import Control
from pierhead.supervisor.reactor import Reactor

__all__ = ["Reception"]


class Reception:
    """Answers `status` with what `describe` returns; for `reload` calls `reload`, and answers by `tell`.

    Where one application is to be reloaded it calls `reload_app`, and answers by `answer`.
    """

    def __init__(
        self,
        control: Control,
        reactor: Reactor,
        describe: Callable[[], dict[str, Any]],
        reload: Callable[[], int | str],
        reload_app: Callable[[str, int], str],
    ) -> None:
        """`reload` returns the number of the generation that its caller waits for, or why there is none.

        `reload_app` takes a name and a ticket to answer with; it returns why that cannot be, or "".
        """
        self._control = control
        self._reactor = reactor
        self._describe = describe
        self._reload = reload
        self._reload_app = reload_app
        self._clients: list[Channel] = []
        self._waiting: list[tuple[Channel, int]] = []
        self._tickets: dict[int, Channel] = {}
        reactor.add(control)

    def hear(self, channel: object) -> bool:
        """Act on what came on a channel; False where it is none of those here."""
        if channel is self._control:
            self._welcome()
        elif isinstance(channel, Channel) and channel in self._clients:
            self._answer(channel)
        else:
            return False
        return True

    def tell(self, number: int, **answer: Any) -> None:
        """Answer those that wait for a generation up to `number`."""
        for client, awaited in self._waiting:
            if awaited <= number:
                client.send(**answer)
        self._waiting = [(client, awaited) for client, awaited in self._waiting if awaited > number]

    def answer(self, ticket: int, **answer: Any) -> None:
        """Answer who has a ticket, if that is still there."""
        if (client := self._tickets.pop(ticket, None)) is not None:
            client.send(**answer)

    def _welcome(self) -> None:
        client = self._control.accept()
        if client is not None:
            self._clients.append(client)
            self._reactor.add(client)

    def _answer(self, client: Channel) -> None:
        try:
            requests = client.receive()
        except ValueError:  # this is somebody else's protocol
            requests = None
        if requests is None:
            self._dismiss(client)
            return
        for request in requests:
            match request.get("command"):
                case "status":
                    client.send(**self._describe())
                case "reload" if app := request.get("app"):
                    ticket = time.monotonic_ns()  # also another program in this process has no such one
                    self._tickets[ticket] = client
                    if why := self._reload_app(str(app), ticket):
                        self.answer(ticket, failed=why)
                case "reload":
                    found = self._reload()
                    if isinstance(found, str):
                        client.send(failed=found)
                    else:
                        self._waiting.append((client, found))
                case other:
                    client.send(failed=f"there is no command {other!r}")

    def _dismiss(self, client: Channel) -> None:
        self._reactor.remove(client)
        self._clients.remove(client)
        self._waiting = [waiting for waiting in self._waiting if waiting[0] is not client]
        self._tickets = {ticket: one for ticket, one in self._tickets.items() if one is not client}
        client.close()
