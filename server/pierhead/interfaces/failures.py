"""What the log says about applications that fail."""

from __future__ import annotations

import logging

from pierhead.log import facts
from pierhead.messages.request import Request

__all__ = ["log_failure"]

logger = logging.getLogger("pierhead.app")


def log_failure(
    request: Request, message: str, *args: object, exc_info: BaseException | bool = False
) -> None:
    """Log, with the request's method, path and id, what went wrong in the application."""
    path = request.root_path + request.raw_path
    logger.error(
        "%s %s [%s]: " + message,
        request.method,
        path,
        request.id,
        *args,
        exc_info=exc_info,
        extra=facts("request_failed", request=f"{request.method} {path}", request_id=request.id),
    )
