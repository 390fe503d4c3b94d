"""The application for socketify, which is started by a program of one's own: python -m ... PORT."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def greet(response: Any, request: Any) -> None:
    """Answer."""
    response.write_header("Content-Type", "text/plain; charset=utf-8")
    response.end("Hello, World!")


def main(port: int) -> None:
    """Serve until told to stop."""
    socketify = importlib.import_module("socketify")
    app = socketify.App()
    app.get("/", greet)
    app.listen(socketify.AppListenOptions(port=port, host="127.0.0.1"))
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
