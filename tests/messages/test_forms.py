"""Forms: what browsers send, what they would not, and the limits."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.messages.body import BodyLimits
from pierhead.messages.forms import MULTIPART, parse_form, read_multipart
from pierhead.messages.media import MediaType
from pierhead.messages.params import FormData

KIND = MediaType(MULTIPART, {"boundary": "xYz"})


async def arriving(pieces: Iterable[bytes | Exception]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def part(headers: str, content: bytes) -> bytes:
    return b"--xYz\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def field(name: str, content: bytes, more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"{more}', content)


def file(name: str, filename: str, content: bytes, content_type: str = "text/plain") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return part(f"{disposition}\r\nContent-Type: {content_type}", content)


END = b"--xYz--\r\n"


async def read(
    *pieces: bytes | Exception, limits: BodyLimits | None = None, kind: MediaType = KIND
) -> FormData:
    return await read_multipart(kind, arriving(pieces), limits or BodyLimits())


async def refusal(*pieces: bytes, limits: BodyLimits | None = None, kind: MediaType = KIND) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        await read(*pieces, limits=limits, kind=kind)
    return caught.value


@pytest.fixture
def spool_dir(tmp_path: Path) -> Iterator[str]:
    """Where a test spools files; it leaves none open."""
    yield str(tmp_path)
    descriptors = Path("/proc/self/fd")
    if descriptors.exists():
        links = [str(entry.readlink()) for entry in descriptors.iterdir() if entry.is_symlink()]
        assert [link for link in links if link.startswith(str(tmp_path))] == []


def test_an_urlencoded_form() -> None:
    form = parse_form("a=1&b=é&b=%C3%A9".encode(), BodyLimits())
    assert list(form.items()) == [("a", "1"), ("b", "é"), ("b", "é")]
    assert len(form.files) == 0
    with pytest.raises(HTTPError, match="413"):
        parse_form(b"a&b&c", BodyLimits(max_form_fields=2))


async def test_fields_and_files() -> None:
    form = await read(field("a", b"1"), file("f", "grün.txt", b"content"), field("a", "é".encode()), END)
    assert list(form.items()) == [("a", "1"), ("a", "é")]
    upload = form.files["f"]
    assert (upload.name, upload.filename, upload.size) == ("f", "grün.txt", 7)
    assert upload.content_type == MediaType("text/plain")
    assert upload.in_memory
    assert await upload.read() == b"content"


async def test_neither_passes_for_the_other() -> None:
    form = await read(file("name", "x", b"1"), field("avatar", b"2"), END)
    assert "name" not in form
    assert "avatar" not in form.files


async def test_a_form_without_parts() -> None:
    assert len(await read(b"--xYz--")) == 0


async def test_a_file_input_without_a_file_is_left_out() -> None:
    form = await read(file("f", "", b""), file("g", "", b"x"), file("h", "h", b""), END)
    assert list(form.files) == ["g", "h"]


async def test_a_long_file_goes_to_disk(spool_dir: str) -> None:
    limits = BodyLimits(max_spool_memory_bytes=100, spool_dir=spool_dir)
    content = bytes(range(256)) * 10
    form = await read(
        file("f", "f", content[:2000]).removesuffix(b"\r\n"), content[2000:] + b"\r\n" + END, limits=limits
    )
    upload = form.files["f"]
    assert not upload.in_memory
    assert (upload.size, await upload.read()) == (2560, content)
    form.close()


async def test_a_malformed_type_of_a_file_is_none() -> None:
    form = await read(
        file("f", "f", b"", "nonsense"),
        part('Content-Disposition: form-data; name="g"; filename="g"', b""),
        END,
    )
    assert not form.files["f"].content_type
    assert not form.files["g"].content_type


async def test_a_field_may_declare_its_charset() -> None:
    declared = "\r\nContent-Type: text/plain; charset=iso-8859-1"
    assert (await read(field("a", b"\xe9", declared), END))["a"] == "é"
    assert (await refusal(field("a", b"", "\r\nContent-Type: text/plain; charset=idna"), END)).status == 415
    assert (await refusal(field("a", b"\xe9"), END)).status == 400


@pytest.mark.parametrize("boundary", ["", "x" * 71, "é", "a\r\nb"])
async def test_the_boundary_is_needed(boundary: str) -> None:
    error = await refusal(END, kind=MediaType(MULTIPART, {"boundary": boundary}))
    assert (error.status, "boundary" in error.detail) == (400, True)
    assert (await refusal(END, kind=MediaType(MULTIPART))).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        field("a", b"1"),
        field("a", b"1")[:-2] + b"--xYz\n",
        part("Content-Disposition: form-data", b"1") + END,
        part('Content-Disposition: form-data; name=""', b"1") + END,
        part('Content-Disposition: attachment; name="a"', b"1") + END,
        part("Content-Type: text/plain", b"1") + END,
        part("no colon", b"1") + END,
        part("Content-Length: -1", b"1") + END,
        part("Bad Name: x", b"1") + END,
        b"--xYz\r\nContent-Disposition: \xff\r\n\r\n\r\n" + END,
    ],
)
async def test_what_is_malformed(body: bytes, spool_dir: str) -> None:
    error = await refusal(
        file("f", "f", b"x" * 500), body, limits=BodyLimits(max_spool_memory_bytes=10, spool_dir=spool_dir)
    )
    assert (error.status, "malformed" in error.detail) == (400, True)


@pytest.mark.parametrize(
    ("body", "limits", "detail"),
    [
        (field("a", b"") * 4, BodyLimits(max_form_fields=3), "too large"),
        (file("f", "f", b"") * 4, BodyLimits(max_form_files=3), "more than 3 files"),
        (field("a", b"x" * 100), BodyLimits(max_form_memory_bytes=100), "more than 100 bytes"),
        (field("a" * 101, b""), BodyLimits(max_form_memory_bytes=100), "more than 100 bytes"),
        (file("f", "f" * 100, b""), BodyLimits(max_form_memory_bytes=100), "more than 100 bytes"),
        (part("X: " + "y" * 5000, b""), BodyLimits(), "too large"),
        (part("X: y\r\n" * 8 + "Z: y", b""), BodyLimits(), "too large"),
    ],
)
async def test_the_limits(body: bytes, limits: BodyLimits, detail: str, spool_dir: str) -> None:
    limits = dataclasses.replace(limits, max_spool_memory_bytes=10, spool_dir=spool_dir)
    error = await refusal(file("f", "f", b"x" * 500) + body + END, limits=limits)
    assert error.status == 413
    assert detail in error.detail


async def test_a_client_that_goes_away_leaves_no_file_open(spool_dir: str) -> None:
    limits = BodyLimits(max_spool_memory_bytes=10, spool_dir=spool_dir)
    with pytest.raises(ClientDisconnected):
        await read(
            file("f", "f", b"x" * 500),
            file("g", "g", b"x" * 500)[:-2],
            ClientDisconnected("gone"),
            limits=limits,
        )


async def test_an_epilogue_is_read_and_ignored() -> None:
    form = await read(b"preamble\r\n", field("a", b"1"), b"--xYz--", b"\r\n", b"epilogue")
    assert form["a"] == "1"


@given(st.lists(st.integers(1, 40), min_size=1))
async def test_however_the_body_is_split(sizes: list[int]) -> None:
    body = field("a", b"1\r\n--xY") + file("f", "f", b"\r\n-" * 9) + field("b", b"") + END
    pieces: list[bytes] = []
    while body:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[:size])
        body = body[size:]
    form = await read(*pieces)
    assert list(form.items()) == [("a", "1\r\n--xY"), ("b", "")]
    assert await form.files["f"].read() == b"\r\n-" * 9


@given(
    st.lists(
        st.sampled_from(
            [
                b"--xYz",
                b"--",
                b"\r\n",
                b"\n",
                b": ",
                b'"',
                b";",
                b"name=",
                b"filename=",
                b"x",
                b"\xff",
                b"Content-Disposition: form-data; ",
                b"Content-Length: 1",
                b"Content-Type: text/plain; charset=",
            ]
        )
        | st.binary(max_size=5),
        max_size=30,
    )
)
async def test_nothing_but_refusals_comes_of_nonsense(pieces: list[bytes]) -> None:
    try:
        form = await read(*(piece for piece in [b"--xYz\r\n", *pieces] if piece))
    except HTTPError as error:
        refused = error
    else:
        form.close()
        return
    assert refused.status in {400, 413, 415}
