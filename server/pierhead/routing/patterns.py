"""Patterns: the paths that routes are declared with, such as `/user/{id:int}/files/{rest:path}`.

A pattern begins with a slash and consists of segments; each is either text, written as people read it
(`/café`, not `/caf%C3%A9`), or one parameter: `{name}` or `{name:converter}`. A slash at the end counts:
`/users` and `/users/` are two resources.
"""

from __future__ import annotations

import dataclasses
import re

__all__ = ["Parameter", "Pattern", "parse_pattern"]

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?\}")


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """A segment that is a parameter, and the name of its converter."""

    name: str
    converter: str


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern taken apart."""

    text: str
    segments: tuple[str | Parameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(segment.name for segment in self.segments if isinstance(segment, Parameter))

    @property
    def fixed(self) -> bool:
        """Whether the path of a request is this text to the letter: no parameter, nothing to decode."""
        return not self.names and "%" not in self.text


def parse_pattern(text: str) -> Pattern:
    """Take a pattern apart; raises ValueError that says what is malformed in it and how it is written.

    Raises TypeError for what is no text, such as the function of a decorator without brackets.
    """
    if not isinstance(text, str):
        raise TypeError(f"a path is a str, not {type(text).__name__}: write @app.get('/path') and the like")
    if not text.startswith("/"):
        raise ValueError(f"a path begins with '/', {text!r} does not")
    if "?" in text or "#" in text:
        raise ValueError(f"a path has no query and no fragment: {text!r}; read the query from request.query")
    segments: list[str | Parameter] = []
    names: set[str] = set()
    pieces = text[1:].split("/")
    for position, piece in enumerate(pieces):
        if piece in {".", ".."}:
            raise ValueError(f"{text!r}: clients resolve the segment {piece!r}, no request would match")
        match = _PARAMETER.fullmatch(piece)
        if match is None:
            if "{" in piece or "}" in piece:
                raise ValueError(
                    f"{text!r}: a parameter is a whole segment, {{name}} or {{name:converter}}, not {piece!r}"
                )
            if piece.startswith("<"):  # as other frameworks write them
                raise ValueError(f"{text!r}: a parameter is {{name}} or {{name:converter}}, not {piece!r}")
            segments.append(piece)
            continue
        parameter = Parameter(match[1], match[2] or "str")
        if parameter.name in names:
            raise ValueError(f"{text!r} has two parameters {parameter.name!r}; give each its own name")
        if parameter.converter == "path" and position != len(pieces) - 1:
            raise ValueError(f"{text!r}: a path parameter takes all that follows, so it is the last segment")
        names.add(parameter.name)
        segments.append(parameter)
    return Pattern(text, tuple(segments))
