"""The WSGI interface: runs applications of PEP 3333 in threads."""

from __future__ import annotations

from pierhead.interfaces.wsgi.application import WSGIApplication
from pierhead.interfaces.wsgi.call import WSGIApp

__all__ = ["WSGIApp", "WSGIApplication"]
