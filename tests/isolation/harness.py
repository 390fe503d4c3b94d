"""The application that the tests of isolation run, and how they look at its processes."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from pierhead.cli.status import fetch
from tests.supervisor.harness import Pierhead, alive, eventually

__all__ = [
    "APP",
    "answer",
    "begun",
    "busy",
    "children",
    "isolated_processes",
    "kill_when_begun",
    "nurseries",
]

APP = """
import asyncio, ctypes, hashlib, os, resource, subprocess, time
from pathlib import Path
from pierhead import App, Request, Response, WebSocket

app = App()

def me() -> Response:
    return Response.json({"version": "one", "pid": os.getpid(), "ppid": os.getppid()})

@app.get("/worker")
async def worker(request: Request) -> Response:
    return me()

@app.get("/", isolation="process")
async def own(request: Request) -> Response:
    return me()

@app.get("/exit/{code:int}", isolation="process")
def leave(request: Request, code: int) -> Response:
    os._exit(code)

@app.get("/segfault", isolation="process")
def segfault(request: Request) -> Response:
    ctypes.string_at(0)

@app.get("/fork/async", isolation="process")
async def fork(request: Request) -> Response:
    os.fork()
    return me()

@app.get("/fork/thread", isolation="process")
def fork_in_a_thread(request: Request) -> Response:
    os.fork()
    return me()

@app.get("/program/{name}", isolation="process")
def program(request: Request, name: str) -> Response:
    with subprocess.Popen(["sleep", "600"]) as process:
        Path(f"begun-{name}").write_text(str(process.pid))
    return me()

@app.get("/cramped", isolation="process")
async def cramped(request: Request) -> Response:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used // 2, resource.RLIM_INFINITY))
    return me()

@app.get("/wait/{name}", isolation="process")
def wait(request: Request, name: str) -> Response:
    Path(f"begun-{name}").write_text(str(os.getpid()))
    while not Path(f"go-{name}").exists():
        time.sleep(0.01)
    return me()

@app.get("/asleep/{name}", isolation="process")
async def asleep(request: Request, name: str) -> Response:
    Path(f"begun-{name}").write_text(str(os.getpid()))
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        Path(f"cancelled-{name}").touch()
        raise
    return me()

@app.get("/extended", isolation="process")
async def extended(request: Request) -> Response:
    request.extend_deadline(60)
    time.sleep(4.4)  # blocks, and for longer than the limit
    return me()

@app.get("/pieces/{name}", isolation="process")
async def pieces(request: Request, name: str) -> Response:
    async def each():
        yield b"first "
        while not Path(f"go-{name}").exists():
            await asyncio.sleep(0.01)
        if name.startswith("dies"):
            os._exit(1)
        yield b"last"
    kind = "text/event-stream" if name == "never" else "text/plain"
    return Response.stream(each(), content_type=kind)

@app.get("/much/{name}", isolation="process")
async def much(request: Request, name: str) -> Response:
    async def each():
        for number in range(1, 401):
            Path(f"sent-{name}").write_text(str(number))
            yield b"x" * 65536
    return Response.stream(each())

@app.get("/whole", isolation="process")
async def whole(request: Request) -> Response:
    return Response(b"x" * 3_000_000, headers={"Content-Disposition": "inline"})

@app.get("/file", isolation="process")
async def file(request: Request) -> Response:
    return Response.file(__file__, content_type="text/plain")

@app.post("/echo", isolation="process")
async def echo(request: Request) -> Response:
    return Response.stream(request.stream())

@app.post("/whole", isolation="process")
async def whole_body(request: Request) -> Response:
    return Response.text(str(len(await request.body())))

@app.post("/digest", isolation="process")
async def digest(request: Request) -> Response:
    files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_there(fd)]
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    spooled = [file for file in files if "deleted" in file and "memfd" not in file]
    return Response.json({"digest": found.hexdigest(), "in_file": bool(spooled)})

def is_there(fd: str) -> bool:
    return Path(f"/proc/self/fd/{fd}").is_symlink()

@app.get("/facts", isolation="process")
async def facts(request: Request) -> Response:
    request.set_cookie("seen", "yes")
    return Response.json({
        "url": request.url, "query": request.query.getlist("q"), "x": request.headers.getlist("X-Many"),
        "client": request.client.host, "id": request.id,
    })

@app.exception(ZeroDivisionError)
async def divided(request: Request, error: ZeroDivisionError) -> Response:
    return Response.text(f"divided in {os.getpid()}", status=422)

@app.get("/divide", isolation="process")
async def divide(request: Request) -> Response:
    1 / 0

inner = App("inner")
app.mount("/inner", inner)

@inner.endpoint(priority=1, when=lambda request: request.path == "/special", isolation="process")
async def special(request: Request) -> Response:
    return me()

@inner.get("/{name}")
async def plain(request: Request, name: str) -> Response:
    return me()

@inner.get("/own/{name}", isolation="process")
async def own_too(request: Request, name: str) -> Response:
    return me()

@app.websocket("/socket", isolation="process")
async def socket(socket: WebSocket) -> None:
    await socket.accept("chat" if "chat" in socket.subprotocols else None, {"X-Pid": str(os.getpid())})
    async for message in socket:
        if message == "exit":
            os._exit(9)
        if message == "close":
            await socket.close(4000, "as you wish")
            return
        await socket.send(message)

@app.websocket("/refused", isolation="process")
async def refused(socket: WebSocket) -> None:
    await socket.reject(Response.text("not you", status=403))
"""


def answer(server: Pierhead, target: str = "/") -> dict[str, Any]:
    """Return the JSON of a response that is 200."""
    status, body = server.get(target, timeout=60)
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def busy(server: Pierhead) -> int:
    """Return how many processes are busy, as the server says."""
    status = fetch(str(server.folder / "control"))
    workers = [worker for generation in status["generations"] for worker in generation["workers"]]
    return sum(worker["processes"]["busy"] for worker in workers)


def nurseries(server: Pierhead) -> dict[int, list[int]]:
    """Return the children of each worker's nursery, by worker."""
    return {
        worker: [process for nursery in children(worker) for process in children(nursery)]
        for worker in server.workers()
    }


def isolated_processes(server: Pierhead) -> list[int]:
    """Return the pids of all isolated processes."""
    return [pid for processes in nurseries(server).values() for pid in processes]


def kill_when_begun(folder: Path, name: str, number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to the process that handles /wait/name or /asleep/name; returns its pid."""
    pid = begun(folder, name)
    os.kill(pid, number)
    return pid


def begun(folder: Path, name: str) -> int:
    """Return the pid of the process that handles /wait/name or /asleep/name, once it does."""
    path = folder / f"begun-{name}"
    eventually(lambda: path.exists() and path.read_text(), f"{name} begun")
    return int(path.read_text())


def children(pid: int) -> list[int]:
    """Return the pids of a process's children, whichever thread forked them."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if alive(child)]
