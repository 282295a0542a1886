"""XML documents of any size, element by element; declarations of types and entities are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from fleetlabel.engine.ingest.large_files import opened
from fleetlabel.model.errors import SourceError, UnsafeFileError

_CHUNK_BYTES = 1 << 18
_MAX_DEPTH, _MAX_TEXT = 64, 1 << 16
# Of one tag with its attributes; expat holds it until it ends.
_MAX_TAG_BYTES = 1 << 22


class Event(NamedTuple):
    """The beginning or the end of an element.

    Attributes:
        begins: whether it is the beginning.
        tag: name of the element.
        attributes: at the beginning.
        text: at the end: what stands directly inside, without blanks at both ends.
        line: of the file.
    """

    begins: bool
    tag: str
    attributes: Mapping[str, str]
    text: str
    line: int


def elements(path: Path) -> Iterator[Event]:
    """Beginnings and ends of all elements, in the order of the file.

    Raises:
        UnsafeFileError: the file declares entities, or a document type that is more than a name, with which a small
            file can say a lot.
        SourceError: it is not well-formed, nested deeply or has excessive text.
    """
    found: list[Event] = []
    texts: list[list[str]] = []
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        texts.append([])
        if len(texts) > _MAX_DEPTH:
            raise SourceError(f"{path} is nested more than {_MAX_DEPTH} elements deep: this is no label file")
        found.append(Event(True, tag, attributes, "", parser.CurrentLineNumber))

    def end(tag: str) -> None:
        text = "".join(texts.pop()).strip()
        found.append(Event(False, tag, {}, text, parser.CurrentLineNumber))

    def characters(text: str) -> None:
        if texts:
            texts[-1].append(text)
            if len(texts[-1]) > _MAX_TEXT:
                raise SourceError(f"{path} line {parser.CurrentLineNumber} has too much text in one element")

    def refuse(*_: object) -> None:
        raise UnsafeFileError(
            f"{path} declares a document type or entities, which no label file needs and which can make a reader run "
            "out of memory or open other files; it was refused"
        )

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters

    def document_type(name: str, system: str | None, public: str | None, has_declarations: int) -> None:
        if system is not None or public is not None or has_declarations:  # KITTI's tracklets have a name only
            refuse()

    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = document_type, refuse
    parser.buffer_text = True
    with opened(path, ".xml") as file:
        try:
            fed = 0
            while chunk := file.read(_CHUNK_BYTES):
                parser.Parse(chunk, False)
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > _MAX_TAG_BYTES:
                    raise SourceError(f"{path} line {parser.CurrentLineNumber} has a tag of excessive length")
                yield from found
                found.clear()
            parser.Parse(b"", True)
        except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
            raise SourceError(f"{path} is not well-formed XML ({error}); export it again") from error
        yield from found
