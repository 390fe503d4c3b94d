"""The whole body of a request as an open file, for applications that block while they read."""

from __future__ import annotations

import os

from pierhead.messages.body import SpooledBody
from pierhead.messages.media import MediaType
from pierhead.messages.request import Request
from pierhead.messages.uploads import Upload, UploadWriter

__all__ = ["spooled_body"]

_NO_TYPE = MediaType()


async def spooled_body(request: Request) -> Upload:
    """Read the body to its end: into memory while it is small, else into a temporary file.

    A slow client then keeps no thread and no process waiting. Who calls closes the file. Raises
    ClientDisconnected and HTTPError 400, 408 and 413 as `Request.stream`, 507 where the disk is full.
    """
    limits = request.limits
    reader = request._reader
    if isinstance(reader, SpooledBody):
        size = os.fstat(reader.file.fileno()).st_size
        return Upload("body", "", _NO_TYPE, reader.file, size, in_memory=False)
    writer = UploadWriter("body", "", _NO_TYPE, limits.max_spool_memory_bytes, limits.spool_dir)
    try:
        async for piece in request.stream():
            await writer.write(piece)
        return await writer.finish()
    except BaseException:
        writer.close()
        raise
