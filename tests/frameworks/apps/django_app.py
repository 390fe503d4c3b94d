"""The sample application in Django, by ASGI (`app`) and by WSGI (`wsgi`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

log: list[str] = []
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    LOGGING_CONFIG=None,
)
django.setup()


def facts(request: HttpRequest) -> HttpResponse:
    query = [(name, value) for name, values in request.GET.lists() for value in values]
    found = {
        "method": request.method,
        "path": request.path,
        "query": query,
        "one": request.headers.get("x-one"),
        "cookies": request.COOKIES,
        "scheme": request.scheme,
        "client": request.META["REMOTE_ADDR"],
    }
    return JsonResponse(found)


def answer(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("made", status=201, content_type="text/plain", headers={"X-Two": "a, b"})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


def upload(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    return JsonResponse({"name": file.name, "size": len(file.read()), "field": request.POST["field"]})


def stream(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(f"{number}\n" for number in range(3))


def endless(request: HttpRequest) -> HttpResponse:
    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            log.append("left")

    return StreamingHttpResponse(pieces())


async def endless_async(request: HttpRequest) -> HttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            log.append("left")

    return StreamingHttpResponse(pieces())


def file(request: HttpRequest) -> HttpResponse:
    return FileResponse(Path(__file__).open("rb"))


def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken on purpose")


common = [
    path("facts", facts),
    path("answer", answer),
    path("echo", echo),
    path("upload", upload),
    path("stream", stream),
    path("broken", broken),
    path("file", file),
    path("endless", endless_async),
    path("endless/wsgi", endless),
]
urlpatterns = common
app = get_asgi_application()
wsgi = get_wsgi_application()
