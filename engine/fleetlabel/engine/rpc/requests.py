"""Fields that several requests have, checked and in our own terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from fleetlabel.engine.pipeline.config import Existing
from fleetlabel.v1 import sequence_service_pb2
from fleetlabel.wire.errors import RequestError

MAX_CHUNK_FRAMES = 4096
_MAX_PAGE, _USUAL_PAGE = 1000, 100
_MAX_REQUEST_ID = 200
_EXISTING: Mapping[int, Existing] = {
    sequence_service_pb2.EXISTING_SEQUENCE_UNSPECIFIED: Existing.REFUSE,
    sequence_service_pb2.EXISTING_SEQUENCE_REFUSE: Existing.REFUSE,
    sequence_service_pb2.EXISTING_SEQUENCE_RESUME: Existing.RESUME,
    sequence_service_pb2.EXISTING_SEQUENCE_OVERWRITE: Existing.OVERWRITE,
}


def request_id_of(text: str) -> str:
    """What names a request, so that repeating it does no harm.

    Raises:
        RequestError: it is missing, too long or not printable.
    """
    if not 0 < len(text) <= _MAX_REQUEST_ID or not text.isprintable():
        expected = f"1 to {_MAX_REQUEST_ID} printable characters, a UUID for example"
        raise RequestError("request_id", expected, _shown(text))
    return text


def needed(name: str, text: str) -> str:
    """A text that has to be there.

    Raises:
        RequestError: it is empty.
    """
    if not text:
        raise RequestError(name, "a text", "nothing")
    return text


def page_size_of(size: int) -> int:
    """How many a page has.

    Raises:
        RequestError: less than none.
    """
    if size < 0:
        raise RequestError("page_size", f"0 to {_MAX_PAGE}", str(size))
    return min(size, _MAX_PAGE) or _USUAL_PAGE


def existing_of(existing: int) -> str:
    """What to do with a sequence that exists.

    Raises:
        RequestError: a value that this version does not know.
    """
    if existing not in _EXISTING:
        raise RequestError("existing", "a value of ExistingSequence", str(existing))
    return str(_EXISTING[existing])


def chunk_config(chunk_frames: int) -> dict[str, Any]:
    """Settings that frames per task make.

    Raises:
        RequestError: out of range.
    """
    if not 0 <= chunk_frames <= MAX_CHUNK_FRAMES:
        raise RequestError("chunk_frames", f"0 to {MAX_CHUNK_FRAMES}", str(chunk_frames))
    return {"chunk_frames": chunk_frames} if chunk_frames else {}


def settings_of(name: str, struct: Struct) -> dict[str, Any]:
    """Settings of a stage as a configuration file would have them.

    Raises:
        RequestError: a number is not finite.
    """
    return {key: _plain(f"{name}.{key}", value) for key, value in struct.fields.items()}


def _plain(path: str, value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return settings_of(path, value.struct_value)
    if kind == "list_value":
        return [_plain(f"{path}[{row}]", entry) for row, entry in enumerate(value.list_value.values)]
    if kind == "number_value":
        number = value.number_value
        if not math.isfinite(number):
            raise RequestError(path, "a finite number", str(number))
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if kind == "string_value":
        return value.string_value
    return value.bool_value if kind == "bool_value" else None


def without_empty(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request for :class:`Operations` without what is not said."""
    return {name: value for name, value in request.items() if value not in ("", None, {})}


def _shown(text: str) -> str:
    return f"{len(text)} characters" if len(text) > _MAX_REQUEST_ID else repr(text)
