"""Request targets: the path is the application's business, and arrives as it was sent."""

from __future__ import annotations

import functools

from stack.matrix.check import Differs, check
from stack.matrix.target import Target

GROUP = "Paths and methods"
PASSED = {
    "encoded-slash": ("/seen/a%2Fb", "an encoded slash"),
    "double-slash": ("/seen//a", "two slashes"),
    "dots": ("/seen/./a/../b", "dot segments"),
    "encoded-dots": ("/seen/%2e%2e/a", "encoded dot segments"),
    "encoded-percent": ("/seen/%2541", "what is encoded twice"),
    "unreserved": ("/seen/%7Ea%41", "encoded letters"),
    "utf8": ("/seen/caf%C3%A9", "UTF-8"),
    "semicolon": ("/seen/a;b=c", "a semicolon"),
    "empty-query": ("/seen?", "a `?` with nothing after it"),
    "query": ("/seen?a=%2F&b=+&c=%20&d=a/b?c", "a query with all sorts of things"),
    "pipe": ("/seen/a|b", "a `|`, which browsers send"),
}


async def passed(path: str, target: Target) -> str:
    """Ask for a path; tell how it arrived."""
    data = f"GET {path} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n".encode()
    answers = await target.raw(data)
    status = answers[0].split(b" ", 2)[1].decode() if answers else "closed"
    if status != "200":
        return status
    found = answers[0].partition(b'"target":"')[2].partition(b'"')[0].decode()
    return "as it was sent" if found == path else found


PIPE = Differs("/seen/a%7Cb", "Caddy encodes what should have been")
for name, (path, about) in PASSED.items():
    check(
        GROUP,
        f"{about}: `{path}`",
        "as it was sent",
        differs={"caddy": PIPE} if name == "pipe" else {},
        name=f"path-{name}",
    )(functools.partial(passed, path))


def line(target_: str, method: str = "GET") -> bytes:
    """Return a request with a target that need not be one."""
    return f"{method} {target_} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n".encode("latin-1")


@check(
    GROUP,
    "`%00` in a path",
    "400",
    differs={"apache": Differs("404", "Apache refuses it as a file that cannot be")},
)
async def nul_in_path(target: Target) -> str:
    """Ask for NUL, encoded as it must be."""
    return await passed("/seen/a%00b", target)


@check(
    GROUP,
    "a fragment in the target",
    "400",
    differs={"caddy": Differs("200", "Caddy takes `#` for a character of the path, and encodes it")},
)
async def fragment(target: Target) -> str:
    """Send what belongs to the browser alone."""
    return await target.status_of(line("/seen#here"))


@check(GROUP, "a byte above 127 in the target", "400", differs={"caddy": Differs("200", "Caddy encodes it")})
async def raw_byte(target: Target) -> str:
    """Send UTF-8 without encoding it."""
    return await target.status_of(line("/seen/\xc3\xa9"))


@check(GROUP, "a space in the target", "400")
async def space(target: Target) -> str:
    """Send what ends a target."""
    return await target.status_of(line("/seen/a b"))


@check(GROUP, "a target without a slash at its start", "400")
async def no_slash(target: Target) -> str:
    """Ask for something relative."""
    return await target.status_of(line("seen"))


@check(
    GROUP,
    "OPTIONS *",
    "204",
    differs={
        "caddy": Differs("200", "Caddy answers by itself"),
        "apache": Differs("200", "Apache answers by itself"),
        "nginx": Differs("400", "nginx has no use for it"),
    },
)
async def options_star(target: Target) -> str:
    """Ask the server as a whole."""
    return await target.status_of(line("*", "OPTIONS"))


@check(
    GROUP,
    "TRACE: nobody sends back what came, credentials and all",
    "405",
    differs={
        "direct": Differs(
            "200", "a method like others to the server: this is what the application made of it, and no echo"
        )
    },
)
async def trace(target: Target) -> str:
    """Ask for an echo."""
    data = b"TRACE /seen HTTP/1.1\r\nHost: example.org\r\nCookie: secret\r\nConnection: close\r\n\r\n"
    (answer,) = await target.raw(data)
    assert b"Cookie: secret" not in answer.partition(b"\r\n\r\n")[2]
    return answer.split(b" ", 2)[1].decode()


@check(GROUP, "CONNECT: nobody is a proxy to anywhere", "refused")
async def connect(target: Target) -> str:
    """Ask for a tunnel."""
    data = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nConnection: close\r\n\r\n"
    found = await target.status_of(data)
    return "refused" if found in ("400", "405", "501") else found


@check(
    GROUP,
    "a method in small letters is another method",
    "get",
    differs={"nginx": Differs("400", "nginx knows only methods in capitals")},
)
async def small_method(target: Target) -> str:
    """Ask softly."""
    answers = await target.raw(line("/seen", "get"))
    status = answers[0].split(b" ", 2)[1].decode() if answers else "closed"
    return answers[0].partition(b'"method":"')[2].partition(b'"')[0].decode() if status == "200" else status
