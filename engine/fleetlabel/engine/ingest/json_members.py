"""JSON documents of any size, read member by member.

``members(path, ("images",), ("annotations",))`` yields what is directly inside the arrays or objects at these paths, in
the order of the file, and passes over everything else, holding one member at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleetlabel.engine.ingest.large_files import opened, text_chunks
from fleetlabel.model.errors import SourceError

_BLANKS = re.compile(r"[ \t\r\n]*")
# A frame of OpenLABEL with some seven thousand boxes; no other label file has members as long.
_MAX_MEMBER_CHARS = 1 << 22
JsonPath = tuple[str, ...]


def members(path: Path, *wanted: JsonPath) -> Iterator[tuple[JsonPath, str | int, Any]]:
    """Members (path of what they are in, their key or row, their value) of the containers at some paths.

    ``()`` is the document itself. Containers that are not there have no members.

    Raises:
        SourceError: the file is not valid JSON, or has a member that is too long or nested too deeply.
    """
    with opened(path, ".json") as file:
        yield from _Scanner(text_chunks(file, path), path).scan((), wanted)


class _Scanner:
    def __init__(self, chunks: Iterator[str], path: Path) -> None:
        self._chunks, self._path = chunks, path
        self._text, self._at, self._ended = "", 0, False
        self._decode = json.JSONDecoder().raw_decode

    def scan(self, here: JsonPath, wanted: tuple[JsonPath, ...]) -> Iterator[tuple[JsonPath, str | int, Any]]:
        """Members of the container that begins here, as far as they are wanted; goes past it."""
        if self._peek() not in "{[":
            raise self._wrong("is no JSON object or array")
        for key in self._members():
            below = (*here, str(key))
            if self._peek() in "{[" and any(path[: len(below)] == below for path in wanted):
                yield from self.scan(below, wanted)
            elif here in wanted:
                yield here, key, self._value()
            elif self._peek() in "{[":
                for _ in self._members():
                    self._value()
            else:
                self._value()

    def _members(self) -> Iterator[str | int]:
        """Keys, or rows, of the container that begins here; whoever takes one goes past its value."""
        closing = "}" if self._peek() == "{" else "]"
        self._at += 1
        following, row = self._peek(), 0
        if following == closing:
            self._at += 1
            return
        while True:
            yield self._key() if closing == "}" else row
            row, following = row + 1, self._peek()
            self._at += 1
            if following == closing:
                return
            if following != ",":
                raise self._wrong(f"has {following!r} where a comma or {closing!r} is due")

    def _key(self) -> str:
        if self._peek() != '"':
            raise self._wrong(f"has {self._peek()!r} where a name is due")
        key = self._value()
        if self._peek() != ":":
            raise self._wrong("has a name without a colon")
        self._at += 1
        assert isinstance(key, str)
        return key

    def _value(self) -> Any:
        """The value that begins here, decoded; goes past it."""
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except RecursionError as error:
                raise self._wrong("is nested more deeply than any label file") from error
            except ValueError as error:
                if self._ended or len(self._text) - self._at > _MAX_MEMBER_CHARS:
                    raise self._wrong(
                        f"is damaged, cut off, or has a member of excessive length ({error})"
                    ) from error
                self._more()
                continue
            # A number at the end of what was read may go on in the next chunk.
            if end < len(self._text) or self._ended:
                self._at = end
                return value
            self._more()

    def _peek(self) -> str:
        """The next character that is no blank."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                raise self._wrong("ends too early: it is cut off")
            self._more()

    def _more(self) -> None:
        # At least as much again as there is: a long member is not decoded once per chunk.
        wanted = max(1, len(self._text) - self._at)
        parts, got = [self._text[self._at :]], 0
        while got < wanted and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            parts.append(chunk or "")
            got += len(chunk or "")
        self._text, self._at = "".join(parts), 0

    def _wrong(self, what: str) -> SourceError:
        return SourceError(
            f"{self._path} {what}, near {self._text[self._at : self._at + 60]!r}; export it again"
        )
