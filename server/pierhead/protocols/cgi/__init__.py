"""CGI (RFC 3875): requests that a web server hands on as variables, and the responses it takes back.

`variables` and `render` serve SCGI and FastCGI as well: only the framing around them differs.
"""

from __future__ import annotations

from pierhead.protocols.cgi.codec import CgiCodec
from pierhead.protocols.cgi.gateway import GatewayCodec
from pierhead.protocols.cgi.variables import GatewayRequest, read_variables

__all__ = ["CgiCodec", "GatewayCodec", "GatewayRequest", "read_variables"]
