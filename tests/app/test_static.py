"""Static files: what is served, and that nothing else is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pierhead import App, Request, Response
from pierhead.testing import Client


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory to serve, in one with what must stay private."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public-not").mkdir()
    (tmp_path / "public-not" / "secret.txt").write_text("secret")
    public = tmp_path / "public"
    for folder in ("docs", "empty", ".git", "docs/.hidden"):
        (public / folder).mkdir(parents=True)
        (public / folder / "page.html").write_text(f"{folder} page")
    (public / "index.html").write_text("index")
    (public / "docs" / "index.html").write_text("docs index")
    (public / "style.css").write_text("body {}")
    (public / "größe 1.txt").write_text("name")
    (public / ".env").write_text("secret")
    (public / "a\\b.txt").write_text("secret")
    (public / "outside").symlink_to(tmp_path / "secret.txt")
    (public / "folder-outside").symlink_to(tmp_path / "public-not")
    (public / "inside.css").symlink_to(public / "style.css")
    (public / "loop").symlink_to(public / "loop")
    (public / "dangling").symlink_to(public / "nothing")
    return public


@pytest.fixture
def client(files: Path) -> Iterator[Client]:
    app = App()
    app.static("/static", files, headers={"Cache-Control": "max-age=60"})
    with Client(app) as client:
        yield client


def test_files_are_sent_with_their_type_validators_and_headers(client: Client) -> None:
    response = client.get("/static/style.css")
    assert (response.status, response.text) == (200, "body {}")
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    assert response.headers["Cache-Control"] == "max-age=60"
    assert response.headers["Content-Length"] == "7"
    assert client.get("/static/gr%C3%B6%C3%9Fe%201.txt").text == "name"
    assert client.get("/static/inside.css").text == "body {}"


def test_conditions_and_ranges_are_answered(client: Client) -> None:
    first = client.get("/static/style.css")
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    assert client.get("/static/style.css", headers={"If-None-Match": etag}).status == 304
    assert client.get("/static/style.css", headers={"If-Modified-Since": modified}).status == 304
    assert client.get("/static/style.css", headers={"If-Match": '"other"'}).status == 412
    part = client.get("/static/style.css", headers={"Range": "bytes=0-3"})
    assert (part.status, part.text, part.headers["Content-Range"]) == (206, "body", "bytes 0-3/7")
    assert client.get("/static/style.css", headers={"Range": "bytes=9-"}).status == 416


def test_head_has_the_length_and_no_body(client: Client) -> None:
    response = client.head("/static/style.css")
    assert (response.status, response.headers["Content-Length"], response.body) == (200, "7", b"")


def test_a_folder_is_its_index(client: Client) -> None:
    assert client.get("/static/").text == "index"
    assert client.get("/static/docs/").text == "docs index"
    assert client.get("/static/docs/page.html").text == "docs page"
    assert client.get("/static/empty/").status == 404
    assert client.get("/static/empty").status == 404


def test_a_folder_without_its_slash_is_a_redirect_so_that_relative_links_work(client: Client) -> None:
    for target, location in (
        ("/static", "/static/"),
        ("/static/docs", "/static/docs/"),
        ("/static/docs?a=1&b=2", "/static/docs/?a=1&b=2"),
    ):
        response = client.get(target)
        assert (response.status, response.headers["Location"]) == (308, location)


def test_a_redirect_in_a_mount_has_its_prefix(files: Path) -> None:
    site, docs = App(), App()
    docs.static("/", files)
    site.mount("/site", docs)
    with Client(site) as client:
        assert client.get("/site/docs").headers["Location"] == "/site/docs/"
        assert client.get("/site/").text == "index"


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/docs/..%2F..%2Fsecret.txt",
        "/%2Fetc/passwd",
        "//etc/passwd",
        "/../public-not/secret.txt",
        "-not/secret.txt",
        "/.env",
        "/%2eenv",
        "/.git/page.html",
        "/docs/.hidden/page.html",
        "/docs%2Fpage.html",
        "/outside",
        "/folder-outside/secret.txt",
        "/folder-outside/",
        "/folder-outside",
        "/loop",
        "/dangling",
        "/style.css/",
        "/style.css/more",
        "/docs//page.html",
        "/nothing",
        "/a%5Cb.txt",
        "/" + "x" * 300,
        "/style.css::$DATA",
    ],
)
def test_nothing_else_is_served(client: Client, target: str) -> None:
    response = client.get("/static" + target)
    assert response.status == 404
    assert "secret" not in response.text.partition('"detail"')[2]


def test_other_methods_are_405(client: Client) -> None:
    response = client.put("/static/style.css", content=b"x")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_special_file_is_404_and_logged(
    files: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(files / "pipe")
    assert client.get("/static/pipe").status == 404
    assert "the file cannot be sent" in caplog.text


def test_a_file_that_cannot_be_read_is_404_and_logged(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **options: object) -> Response:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Response, "file", refuse)
    assert client.get("/static/style.css").status == 404
    assert "the file cannot be sent: [Errno 13] Permission denied" in caplog.text


def test_what_is_not_there_passes_on(files: Path) -> None:
    app = App()
    app.static("/", files)

    @app.get("/about")
    async def about(request: Request) -> str:
        return "about"

    @app.endpoint(priority=-1)
    async def fallback(request: Request) -> str:
        return "fallback"

    with Client(app) as client:
        assert client.get("/").text == "index"
        assert client.get("/style.css").text == "body {}"
        assert client.get("/about").text == "about"
        assert client.get("/nothing").text == "fallback"


def test_a_directory_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"there is no directory .*/nothing to serve files from; create it first"
    ):
        App().static("/static", tmp_path / "nothing")
