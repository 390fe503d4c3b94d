"""Health: answers /healthz and /readyz in front of an application, without asking it.

`health_path` answers 200 as long as the worker's loop runs. `ready_path` answers 200 while the worker takes
requests, and 503 before it has started and once it is stopping. An application that has routes of its own at
these paths gets them when the setting is empty, or names another path.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from pierhead.interfaces.layer import Layer
from pierhead.messages.response import Response

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application
    from pierhead.messages.request import Request

__all__ = ["Health"]


class Health(Layer):
    """Fulfils `pierhead.interfaces.base.Application` by another one, except at the two paths."""

    def __init__(
        self, application: Application, ready: Callable[[], bool], health_path: str, ready_path: str
    ) -> None:
        """Answer at the paths that are not empty; `ready` tells whether this worker takes requests."""
        super().__init__(application)
        self._respond = application.respond
        self._ready = ready
        answers = {health_path: self._alive, ready_path: self._readiness}
        self._answers = {path: answer for path, answer in answers.items() if path}

    def respond(self, request: Request) -> Coroutine[Any, Any, Response | None]:
        """Answer one of the two paths, or pass the request on."""
        answer = self._answers.get(request.raw_path)
        if answer is None:  # nearly always, so there is no coroutine of ours in between
            return self._respond(request)
        return self._answer(answer, request)

    async def _answer(self, answer: Callable[[], Response], request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return Response.problem(405, "ask with GET or HEAD", headers={"Allow": "GET, HEAD"})
        return answer()

    def _alive(self) -> Response:
        return Response("ok\n", headers={"Cache-Control": "no-store"})

    def _readiness(self) -> Response:
        if self._ready():
            return Response("ready\n", headers={"Cache-Control": "no-store"})
        headers = {"Cache-Control": "no-store", "Retry-After": "1"}
        return Response("not ready\n", status=503, headers=headers)
