"""What the log says of a request that failed: the same words and facts, wherever it was noticed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pierhead.log import facts

if TYPE_CHECKING:
    from pierhead.messages.request import Request

__all__ = ["log_failure"]

logger = logging.getLogger("pierhead.app")


def log_failure(
    request: Request, message: str, *args: object, exc_info: BaseException | bool = False
) -> None:
    """Log as an error, with the request's method, path and id, what went wrong in the application.

    The path has no query: that may hold secrets.
    """
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
