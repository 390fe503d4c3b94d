"""`pierhead request`: sends one request to an application through the whole server, without a socket."""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
import string
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pierhead.cli.options import add_application, add_config, add_settings, configuration
from pierhead.cli.parser import Parser
from pierhead.cli.simulation import Seen, read_jar, read_upload, write_jar
from pierhead.errors import ConfigError, LoadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pierhead.interfaces.base import Application
    from pierhead.testing import Client, ClientStream, CookieJar

__all__ = ["main"]

_EPILOG = """\
name=value pairs are the query of GET, HEAD, DELETE and OPTIONS, and of a request with --json; otherwise they
are the fields of a form.

  pierhead request app:app GET /search q=pier
  pierhead request app:app POST /users name=Ada --user admin:secret
  pierhead request app:app PUT /users/1 --json '{"name": "Ada"}'

  pierhead request app:app POST /photos title=Pier --upload photo=@pier.jpg
  pierhead request app:app POST /login name=Ada --session ada.json

APP is anything that can be served: a file of several applications, program:path, fastcgi://host:port, ...
The response goes to standard output, the application's log to standard error. The application is started
before and stopped after, with the settings that `pierhead run` would have.
exit codes: 0 answered, 4 with a 4xx status, 5 with a 5xx status; 1 no whole response, 2 wrong usage or
configuration, 3 the application did not load or start
"""
_WITH_QUERY = {"GET", "HEAD", "DELETE", "OPTIONS"}


def main(argv: Sequence[str]) -> int:
    """Send the request and print the response; returns the exit code.

    Raises ConfigError for wrong usage, and LoadError where the application does not load or start.
    """
    parser = Parser("request", "Send one request to an application, without a server.", _EPILOG)
    add_application(parser, optional=False)
    parser.add_argument("method", metavar="METHOD", help="the method, such as GET")
    parser.add_argument("path", metavar="PATH", help="the path, with a query if you like")
    parser.add_argument("pairs", nargs="*", default=[], metavar="name=value", help="query or form")
    parser.option("--header", action="append", metavar="'NAME: VALUE'", help="a header field; repeatable")
    parser.option("--cookie", action="append", metavar="NAME=VALUE", help="a cookie; repeatable")
    parser.option("--json", metavar="TEXT", help="a JSON body, sent as it is")
    parser.option("--upload", action="append", metavar="NAME=@FILE", help="a file of a form; repeatable")
    parser.option("--session", metavar="FILE", help="keep cookies in this file, for the next request")
    parser.option("--cgi", action="store_true", help="print the response as a CGI program does")
    parser.option("--dump", action="store_true", help="print the request as the application saw it")
    parser.option("--host", metavar="HOST", help="the Host field; default localhost")
    parser.option("--https", action="store_true", help="as if it came over HTTPS")
    parser.option("--remote-addr", metavar="ADDRESS", help="the client's address; default 127.0.0.1")
    parser.option("--user", metavar="NAME:PASSWORD", help="credentials (Basic authentication)")
    add_config(parser)
    add_settings(parser, only=("app_dir", "factory", "interface"))
    given = parser.parse(argv)
    # --user is the request's here; the setting of that name is `run`'s.
    request = _request(given)
    peer = _peer(given.get("remote_addr", "127.0.0.1"))
    settings = configuration(
        {name: given[name] for name in ("app", "app_dir", "factory", "interface", "config") if name in given}
    ).settings
    settings = dataclasses.replace(settings, access_log="off")

    from pierhead.interfaces.configured import load_configured
    from pierhead.testing import Client

    application = load_configured(settings)
    seen = Seen(application) if given.get("dump") else None
    application = seen or application
    jar = read_jar(given["session"]) if "session" in given else None
    scheme = "https" if given.get("https") else "http"
    client = Client(
        application,
        base_url=f"{scheme}://{given.get('host', 'localhost')}",
        client=(peer, 50000),
        # The server answers within its own time limits; this one is for when it does not.
        timeout_s=(settings.handler_timeout_s or 3600.0) + 10.0,
        **{field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)},
    )
    if jar is not None and (cookies := jar.header(request["target"], secure=client.secure)):
        request["headers"] = _with_cookies(request["headers"], cookies)
    _start(client, application)
    try:
        status = _exchange(
            client, request, _print_nothing if seen else _PRINTERS[bool(given.get("cgi"))], jar
        )
    finally:
        client.close()
    if seen is not None:
        print(seen.dumped)
    if jar is not None:
        write_jar(given["session"], jar)
    return 0 if status < 400 else status // 100


def _start(client: Client, application: Application) -> None:
    try:
        client.__enter__()
    except Exception as error:
        reason = str(error) or "without a message"
        raise LoadError(
            f"the application {application.name} did not start: {type(error).__name__}: {reason}"
        ) from error


def _exchange(
    client: Client, request: dict[str, Any], printer: Callable[[ClientStream], None], jar: CookieJar | None
) -> int:
    """Send the request and print the response while it comes; returns its status, 100 for a broken one."""
    import h11

    try:
        with client.stream(**request) as response:
            if jar is not None:
                jar.take(response.headers, request["target"])
            printer(response)
            return response.status
    except h11.LocalProtocolError as error:
        raise ConfigError(f"such a request cannot be sent: {error}") from None
    except BrokenPipeError:
        raise
    except (ConnectionError, TimeoutError) as error:
        print(f"pierhead: {str(error) or 'no response in time'}", file=sys.stderr)
        return 100


def _print_response(response: ClientStream) -> None:
    _print(f"HTTP/{response.http_version} {response.status} {response.reason}".rstrip(), response)


def _print_cgi(response: ClientStream) -> None:
    _print(f"Status: {response.status} {response.reason}".rstrip(), response)


def _print_nothing(response: ClientStream) -> None:
    for _ in response:
        pass


_PRINTERS = (_print_response, _print_cgi)


def _print(first: str, response: ClientStream) -> None:
    out = sys.stdout.buffer
    framing = {"transfer-encoding", "connection"} if first.startswith("Status:") else set()
    head = [f"{name}: {value}" for name, value in response.headers.items() if name.lower() not in framing]
    out.write("\n".join([first, *head, "", ""]).encode())
    last = b""
    for piece in response:
        out.write(piece)
        out.flush()
        last = piece[-1:] or last
    if last not in {b"", b"\n"} and sys.stdout.isatty():
        out.write(b"\n")


def _request(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Client.stream`."""
    method = given["method"].upper()
    path = given["path"]
    if not path.startswith(("/", "http://", "https://")) and path != "*":
        raise ConfigError(f"the path {path!r} does not begin with /; did you mean {'/' + path!r}?")
    request: dict[str, Any] = {
        "method": method,
        "target": quote(path.partition("#")[0], safe=string.punctuation),
        "headers": _headers(given),
    }
    pairs = [_pair(text, "=", "name=value") for text in given["pairs"]]
    if "upload" in given:
        if "json" in given:
            raise ConfigError("--upload is a form, and --json is none: leave one of them out")
        request["files"] = [read_upload(text) for text in given["upload"]]
        request["data"] = pairs
        return request
    if "json" in given:
        request["content"] = given["json"]
        if "content-type" not in {name.lower() for name, _ in request["headers"]}:
            request["headers"].append(("Content-Type", "application/json"))
    if pairs:
        request["params" if method in _WITH_QUERY or "json" in given else "data"] = pairs
    return request


def _headers(given: dict[str, Any]) -> list[tuple[str, str]]:
    fields = []
    for text in given.get("header", ()):
        name, value = _pair(text, ":", "--header 'Name: value'")
        fields.append((name, value.strip()))
    if cookies := given.get("cookie"):
        pairs = [_pair(text, "=", "--cookie name=value") for text in cookies]
        fields.append(("Cookie", "; ".join(f"{name}={value}" for name, value in pairs)))
    if "user" in given:
        name, password = _pair(given["user"], ":", "--user name:password")
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        fields.append(("Authorization", f"Basic {token}"))
    try:
        for name, value in fields:
            f"{name}{value}".encode("ascii")
    except UnicodeEncodeError:
        raise ConfigError(
            f"the header field {name!r} has characters that are not ASCII: encode them"
        ) from None
    return fields


def _with_cookies(fields: list[tuple[str, str]], kept: str) -> list[tuple[str, str]]:
    """Add kept cookies to those that were given: there is one Cookie field (RFC 6265, 5.4)."""
    given = [value for name, value in fields if name.lower() == "cookie"]
    others = [field for field in fields if field[0].lower() != "cookie"]
    return [*others, ("Cookie", "; ".join([*given, kept]))]


def _pair(text: str, separator: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name:
        raise ConfigError(f"{text!r} is not understood: write {form}")
    return name, value


def _peer(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigError(f"--remote-addr = {text!r}: use an address such as 192.0.2.1 or ::1") from None
