r"""The grammar of HTTP/1 messages as regular expressions over bytes (RFC 9110, RFC 9112, RFC 3986).

Every quantifier that could backtrack is possessive, so that matching takes linear time whatever the
input. Where real clients send more than the RFC's grammar allows, the comment says what and why.
"""

from __future__ import annotations

import re

__all__ = [
    "ABSOLUTE_FORM",
    "AUTHORITY",
    "BAD_BYTE",
    "BAD_ESCAPE",
    "CHUNK_LINE",
    "CHUNK_SIZE",
    "DIGITS",
    "FIELD",
    "FIELD_LINE",
    "FORBIDDEN_TRAILERS",
    "HEAD",
    "ORIGIN_FORM",
    "REQUEST_LINE",
    "SPECIAL_FIELDS",
    "TCHAR",
    "VALUE",
]

TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELD_LINE = rb"%b++:%b\r\n" % (TCHAR, VALUE)
_METHOD_AND_TARGET = rb"(%b++)\x20([\x21-\x7e]++)\x20" % TCHAR

# A head that is well-formed in every byte: (method, target, minor version, header section).
HEAD = re.compile(rb"%bHTTP/1\.([0-9])\r\n((?:%b)*+)\r\n" % (_METHOD_AND_TARGET, _FIELD_LINE))

# The request line alone, of any version: only to tell 505 from 400 once HEAD did not match.
REQUEST_LINE = re.compile(rb"%bHTTP/([0-9])\.([0-9])" % _METHOD_AND_TARGET)
FIELD_LINE = re.compile(_FIELD_LINE)

# (name, value) of each line of a section that matched; a value may still end in white space.
FIELD = re.compile(rb"([^:\r\n]++):[\t\x20]*+([^\r\n]*+)\r\n")

# What may stand nowhere in a head: controls but HTAB, a CR not before LF, an LF not after CR. A CR that
# is the last byte so far is undecided.
BAD_BYTE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=[^\n])|(?<!\r)\n")

# The fields that the server itself must understand, found without splitting the section: (name, value).
SPECIAL_FIELDS = re.compile(
    rb"^(host|connection|content-length|transfer-encoding|expect|upgrade):[\t\x20]*+([^\r\n]*+)",
    re.MULTILINE | re.IGNORECASE,
)

DIGITS = re.compile(rb"[0-9]++")

# An IPv6 address (RFC 3986, 3.2.2): eight groups, of which "::" stands for as many as are not there.
_GROUP = rb"[0-9A-Fa-f]{1,4}"
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LAST_TWO = rb"(?:%b:%b|%b(?:\.%b){3})" % (_GROUP, _GROUP, _OCTET, _OCTET)
_IPV6 = b"|".join(
    [rb"(?:%b:){6}%b" % (_GROUP, _LAST_TWO)]
    + [
        rb"(?:(?:%b:){0,%d}%b)?::(?:%b:){%d}%b" % (_GROUP, 4 - after, _GROUP, _GROUP, after, _LAST_TWO)
        for after in range(5)
    ]
    + [rb"::(?:%b:){5}%b" % (_GROUP, _LAST_TWO)]
    + [rb"(?:(?:%b:){0,5}%b)?::%b" % (_GROUP, _GROUP, _GROUP), rb"(?:(?:%b:){0,6}%b)?::" % (_GROUP, _GROUP)]
)

# reg-name, IPv4 or [IPv6], and a port (RFC 3986, 3.2.2 and 3.2.3); no userinfo (RFC 9110, 4.2.4). The
# underscore is no host name character of the DNS, but of reg-name, and container names have it.
AUTHORITY = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%%[0-9A-Fa-f]{2})++|\[(?:%b)\])(?::[0-9]{0,5}+)?+" % _IPV6
)

# RFC 3986 has neither | nor ^ nor ` nor { } [ ] \ in a path or a query; browsers send some of them as they
# are. They are harmless here. A fragment (#) is never sent, and " < > and a backslash in a path are how
# requests are disguised: those are refused.
_PATH = rb"/[!$-;=@-Z\[\]^-~]*+"
_QUERY = rb"(?:\?[!$-;=?-~]*+)?+"
ORIGIN_FORM = re.compile(rb"(%b)%b" % (_PATH, _QUERY))
ABSOLUTE_FORM = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?+://([^/?#]++)(%b)?+%b" % (_PATH, _QUERY))

# In a path a percent sign starts an escape, and the escaped byte is not NUL (RFC 3986, 2.1).
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")

# chunk-size alone, and with chunk extensions (RFC 9112, 7.1.1); white space only where BWS may stand.
_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_EXTENSION = rb"[\t\x20]*+;[\t\x20]*+%b++(?:[\t\x20]*+=[\t\x20]*+(?:%b++|%b))?+" % (TCHAR, TCHAR, _QUOTED)
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16}+)\r\n")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:%b)*+\r\n" % _EXTENSION)

# Fields that frame, route, authenticate or control a request mean nothing good after its body
# (RFC 9110, 6.5.1).
FORBIDDEN_TRAILERS = frozenset(
    b"transfer-encoding content-length host connection keep-alive upgrade te trailer expect"
    b" content-encoding content-type content-range content-location range"
    b" authorization proxy-authorization proxy-authenticate www-authenticate cookie set-cookie"
    b" cache-control pragma max-forwards age date location retry-after vary warning"
    b" if-match if-none-match if-modified-since if-unmodified-since if-range"
    b" forwarded x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix"
    b" x-real-ip proxy".split()
)
