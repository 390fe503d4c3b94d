"""Programs in any language: started for a request by CGI, or running and asked by FastCGI or SCGI."""

from __future__ import annotations

from pierhead.interfaces.gateway.fastcgi import FastCGIApplication
from pierhead.interfaces.gateway.program import ProgramApplication
from pierhead.interfaces.gateway.scgi import ScgiApplication

__all__ = ["FastCGIApplication", "ProgramApplication", "ScgiApplication"]
