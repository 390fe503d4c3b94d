"""Forms: application/x-www-form-urlencoded, and multipart/form-data (RFC 7578) on the `multipart` package."""

from __future__ import annotations

from collections.abc import AsyncIterable

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from pierhead.errors import HTTPError
from pierhead.messages.body import BodyLimits
from pierhead.messages.media import MediaType
from pierhead.messages.params import FormData, TooManyFieldsError, parse_urlencoded
from pierhead.messages.uploads import Upload, UploadWriter

__all__ = ["MULTIPART", "URLENCODED", "parse_form", "read_multipart"]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_MAX_BOUNDARY = 70  # RFC 2046, 5.1.1


def parse_form(body: bytes, limits: BodyLimits) -> FormData:
    """Parse an urlencoded form; raises HTTPError 413 for more than `limits.max_form_fields`."""
    try:
        return FormData(parse_urlencoded(body.decode("utf-8", "replace"), limits.max_form_fields))
    except TooManyFieldsError as error:
        raise HTTPError(413, str(error)) from None


async def read_multipart(kind: MediaType, body: AsyncIterable[bytes], limits: BodyLimits) -> FormData:
    """Read a multipart form as its body arrives; long files go to temporary files meanwhile.

    The caller closes the form's files. Raises HTTPError 400 for what is malformed, 413 for what is over the
    limits, 507 when there is no space for a file; no file is left open then.
    """
    boundary = kind.params.get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise HTTPError(400, "the Content-Type multipart/form-data has no usable boundary")
    collector = _Collector(limits)
    parser = PushMultipartParser(boundary, max_segment_count=limits.max_form_fields)
    try:
        async for piece in body:
            for event in parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    collector.begin(event)
                elif event is None:
                    await collector.end()
                else:
                    await collector.data(bytes(event))
        parser.close()
    except ParserLimitReached as error:
        collector.close()
        raise HTTPError(413, f"the form is too large: {error}") from None
    except MultipartError as error:
        collector.close()
        raise HTTPError(400, f"the form is malformed: {error}") from None
    except BaseException:
        collector.close()
        raise
    return FormData(collector.fields, collector.files)


class _Collector:
    """Turns the parts of a form into fields and files, within the limits."""

    def __init__(self, limits: BodyLimits) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: list[tuple[str, Upload]] = []
        self._limits = limits
        self._memory_bytes = 0
        self._name = ""
        self._codec = "utf-8"
        self._pieces: list[bytes] = []
        self._writer: UploadWriter | None = None

    def begin(self, part: MultipartSegment) -> None:
        if not part.name:
            raise HTTPError(400, "the form is malformed: a part of it has no name")
        self._name = part.name
        self._account(len(part.name))
        if part.filename is None:
            charset = MediaType("text/plain", {"charset": part.charset or ""})
            if charset.codec is None:
                raise HTTPError(415, f"the charset {part.charset!r} is not supported; send UTF-8")
            self._codec = charset.codec
            self._pieces = []
            return
        if len(self.files) >= self._limits.max_form_files:
            raise HTTPError(413, f"the form has more than {self._limits.max_form_files} files")
        self._account(len(part.filename))
        self._writer = UploadWriter(
            part.name,
            part.filename,
            _media_type(part),
            self._limits.max_spool_memory_bytes,
            self._limits.spool_dir,
        )

    async def data(self, data: bytes) -> None:
        if self._writer is not None:
            await self._writer.write(data)
        else:
            self._account(len(data))
            self._pieces.append(data)

    async def end(self) -> None:
        if self._writer is not None:
            writer = self._writer
            if writer.filename or writer.size:  # else what browsers send where no file was chosen
                self.files.append((self._name, await writer.finish()))
            self._writer = None
            return
        try:
            self.fields.append((self._name, b"".join(self._pieces).decode(self._codec)))
        except UnicodeError:
            raise HTTPError(400, f"the form field {self._name!r} is not valid {self._codec} text") from None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for _, upload in self.files:
            upload.close()

    def _account(self, size: int) -> None:
        self._memory_bytes += size
        if self._memory_bytes > self._limits.max_form_memory_bytes:
            limit = self._limits.max_form_memory_bytes
            raise HTTPError(413, f"the fields of the form have more than {limit} bytes")


def _media_type(part: MultipartSegment) -> MediaType:
    try:
        return MediaType.parse(part.header("Content-Type", ""))
    except ValueError:
        return MediaType()
