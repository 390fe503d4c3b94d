"""Media types: the value of Content-Type and its parameters (RFC 9110, 8.3)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

__all__ = ["MediaType", "guess_content_type"]

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_ESSENCE = re.compile(rf"[\t ]*+({_NAME}/{_NAME})[\t ]*+")
_PARAMETER = re.compile(
    rf";[\t ]*+(?:({_NAME})=(?:({_NAME})|"
    r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*+)"))?+[\t ]*+'
)

_CODECS = {
    "": "utf-8",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-2": "iso8859-2",
    "iso-8859-15": "iso8859-15",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
    "windows-1252": "cp1252",
    "koi8-r": "koi8-r",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "shift_jis": "shift_jis",
    "euc-jp": "euc_jp",
    "euc-kr": "euc_kr",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5",
}


@dataclasses.dataclass(frozen=True, slots=True)
class MediaType:
    """A media type such as `text/html; charset=utf-8`.

    `type` is lower-case ("text/html"), "" where a message has none; `params` maps lower-case names to values
    without their quotes. False where `type` is "".
    """

    type: str = ""
    params: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, value: str) -> MediaType:
        """Parse a field value; raises ValueError where it is malformed or has a parameter twice."""
        match = _ESSENCE.match(value)
        if match is None:
            raise ValueError(f"{value!r} is no media type: it begins with type/subtype")
        essence = match[1].lower()
        if match.end() == len(value):
            return cls(essence)
        params: dict[str, str] = {}
        position = match.end()
        while position < len(value):
            parameter = _PARAMETER.match(value, position)
            if parameter is None:
                raise ValueError(f"the parameters of media type {value!r} are not ;name=value pairs")
            position = parameter.end()
            name, token, quoted = parameter.groups()
            if name is None:
                continue  # nothing after a semicolon (RFC 9110, 5.6.6)
            if params.setdefault(name.lower(), text := token or re.sub(r"\\(.)", r"\1", quoted)) is not text:
                raise ValueError(f"media type {value!r} has two parameters {name!r}")
        return cls(essence, params)

    @property
    def charset(self) -> str:
        """The charset parameter, lower-case, "" where there is none."""
        return self.params.get("charset", "").lower()

    @property
    def codec(self) -> str | None:
        """The name of Python's codec for the charset, UTF-8's by default, None where it is not supported.

        A table of the charsets that are in use on the web: some codecs take quadratic time, and Python keeps
        every name it has not found.
        """
        return _CODECS.get(self.charset)

    @property
    def is_json(self) -> bool:
        """Whether it is JSON: application/json or anything +json (RFC 6839, 3.1)."""
        return self.type == "application/json" or self.type.endswith("+json")

    def __bool__(self) -> bool:
        return bool(self.type)

    def __str__(self) -> str:
        return self.type + "".join(f"; {name}={_quote(value)}" for name, value in self.params.items())


def _quote(value: str) -> str:
    if re.fullmatch(_NAME, value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


# A table of our own: what the platform registers differs from machine to machine.
_TYPES = {
    ".7z": "application/x-7z-compressed",
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".br": "application/octet-stream",
    ".bz2": "application/x-bzip2",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rss": "application/rss+xml",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}


def guess_content_type(name: str) -> str:
    """Return the Content-Type for a file name by its extension, application/octet-stream by default."""
    dot = name.rfind(".")
    return (
        _TYPES.get(name[dot:].lower(), "application/octet-stream") if dot >= 0 else "application/octet-stream"
    )
