r"""The access log: a line for each response, which nothing in a request can forge, split or hold up.

text: the combined format, and the seconds it took and the request id:

    127.0.0.1 - ada [21/Nov/2026:08:41:21 +0000] "GET /users HTTP/1.1" 200 45 "-" "curl/8.5.0" 0.000412 9f2c

json: an object a line, with the reason where the server refused a request. Queries are left out, of the
target and of the referrer: they hold what should not be in logs. What is not printable ASCII, a quotation
mark or a backslash is escaped (\xhh; in JSON \u00hh).
"""

from __future__ import annotations

import functools
import re
import time
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING

from pierhead.messages.dump import mask_query
from pierhead.output import LogOutput

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.messages.request import Request

__all__ = ["AccessLog"]

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_WORD = re.compile(r"[^!#-\[\]-~]")
# How many characters of each there is room for; a whole line fits in LINE_LIMIT_BYTES of the output.
_CLIENT, _USER, _METHOD, _TARGET, _REFERRER, _AGENT, _ID, _REASON = 128, 128, 32, 2048, 512, 512, 128, 128


class AccessLog:
    """Writes the log that `settings.access_log` and `.access_log_format` ask for.

    Raises OSError where its file cannot be opened. `record` needs a running event loop, and costs no write:
    the lines of one turn of the loop leave together.
    """

    def __init__(self, settings: Settings, output: LogOutput | None = None) -> None:
        self._output = output
        if output is None and settings.access_log != "off":
            self._output = LogOutput(settings.access_log)
        self._json = settings.access_log_format == "json"
        self._second = 0
        self._stamp = ""

    def record(
        self,
        request: Request | None,
        status: int,
        body_bytes: int,
        duration_s: float,
        peer: str = "",
        reason: str = "",
    ) -> None:
        """Log one response: to `request`, or (None) to what `peer` sent that was refused before."""
        if self._output is None:
            return
        second = int(time.time())
        if second != self._second:
            self._second = second
            form = "%Y-%m-%dT%H:%M:%SZ" if self._json else "%d/%b/%Y:%H:%M:%S +0000"
            self._stamp = time.strftime(form, time.gmtime(second))
        if request is None:
            line = self._refused_line(status, body_bytes, duration_s, peer, reason)
        else:
            render = self._json_line if self._json else self._text_line
            line = render(request, status, body_bytes, duration_s)
        self._output.write(line.encode("ascii"))

    def close(self) -> None:
        """Write what is left."""
        if self._output is not None:
            self._output.close()

    def _refused_line(self, status: int, body_bytes: int, duration_s: float, peer: str, reason: str) -> str:
        if not self._json:
            who = _word(peer, _CLIENT)
            return f'{who} - - [{self._stamp}] "-" {status} {body_bytes} "-" "-" {duration_s:.6f} -\n'
        return (
            f'{{"time":"{self._stamp}","client":{_string(peer, _CLIENT)},'
            f'"status":{status},"bytes":{body_bytes},"duration_s":{duration_s:.6f},'
            f'"reason":{_known_string(reason, _REASON)}}}\n'
        )

    def _text_line(self, request: Request, status: int, body_bytes: int, duration_s: float) -> str:
        client, user, method, target, referrer, agent = _facts(request)
        return (
            f"{_known_word(client, _CLIENT)} - {_known_word(user, _USER)} [{self._stamp}] "
            f'"{_known_word(method, _METHOD)} {_word(target, _TARGET)} HTTP/{request.http_version}" '
            f'{status} {body_bytes} "{_known_text(referrer, _REFERRER)}" "{_known_text(agent, _AGENT)}" '
            f"{duration_s:.6f} {_word(request.id, _ID)}\n"
        )

    def _json_line(self, request: Request, status: int, body_bytes: int, duration_s: float) -> str:
        result = f'"status":{status},"bytes":{body_bytes},"duration_s":{duration_s:.6f}'
        if status >= 400 and (reason := getattr(request, "refused", "")):
            result += f',"reason":{_string(reason, _REASON)}'
        client, user, method, target, referrer, agent = _facts(request)
        return (
            f'{{"time":"{self._stamp}","client":{_known_string(client, _CLIENT)},'
            f'"user":{_known_string(user, _USER)},"method":{_known_string(method, _METHOD)},'
            f'"path":{_string(target, _TARGET)},"protocol":"HTTP/{request.http_version}",{result},'
            f'"referrer":{_known_string(referrer, _REFERRER)},'
            f'"user_agent":{_known_string(agent, _AGENT)},"request_id":{_string(request.id, _ID)}}}\n'
        )


def _facts(request: Request) -> tuple[str, str, str, str, str, str]:
    """Return client, user name, method, target, referrer and user agent, "" for what there is not."""
    user = referrer = agent = ""
    for name, value in request.headers.raw:
        size = len(name)
        if size == 10 and name.lower() == b"user-agent":
            agent = value[:_AGENT].decode("latin-1")
        elif size == 7 and name.lower() == b"referer":
            referrer = value.decode("latin-1").partition("?")[0]
            if "@" in referrer:  # perhaps a user name and password, which browsers leave out
                referrer = mask_query(referrer)
            referrer = referrer[:_REFERRER]
        elif size == 13 and name.lower() == b"authorization" and request.basic_auth is not None:
            user = request.basic_auth.username[:_USER]
    client = request.client.host if request.client is not None else ""
    return client, user, request.method[:_METHOD], request.target.partition("?")[0], referrer, agent


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _text(value: str, most: int) -> str:
    return _UNSAFE.sub(_escape, value)[:most] if value else "-"


def _word(value: str, most: int) -> str:
    """Escape what stands without quotation marks: blanks as well."""
    return _UNSAFE_WORD.sub(_escape, value)[:most] if value else "-"


def _string(value: str, most: int) -> str:
    quoted = _quoted(value[:most])
    # An escape takes 12 characters at most, and none may be cut in two.
    return quoted if len(quoted) <= most + 2 else _quoted(value[: most // 12])


# What comes again and again is remembered: all that a client repeats in each of its requests.
_known_text = functools.lru_cache(1024)(_text)
_known_word = functools.lru_cache(1024)(_word)
_known_string = functools.lru_cache(1024)(_string)
