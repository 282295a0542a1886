"""MCAP files read chunk by chunk, with or without an index: nothing in one can make us hold more than a chunk.

Needs the extra ``fleetlabel[mcap]``. A file that breaks off, as those of crashed recorders do, is read up to there. A
message is found again by the offset of the record that holds it and its place in there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fleetlabel.model.errors import SourceError

MAGIC_BYTES = 8
# Recorders write chunks of 1 to 16 MiB, and a picture or sweep has at most some ten.
_MAX_RECORD_BYTES = 1 << 28
_CHUNKS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Topic:
    """One channel of a file.

    Attributes:
        name: of the topic.
        type_name: of its messages.
        encoding: of its messages.
    """

    name: str
    type_name: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message's place in a file.

    Attributes:
        offset: of the record that holds it, which is a chunk or the message itself.
        row: its place among the messages of the record.
        log_time_ns: when it was recorded.
    """

    offset: int
    row: int
    log_time_ns: int


class McapFile:
    """A file, opened.

    Attributes:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._decoders: dict[int, Callable[[bytes], Any] | None] = {}
        self._channels: dict[int, tuple[Any, Any]] = {}
        self._schemas: dict[int, Any] = {}

    def scan(self, wanted: Callable[[Topic], bool]) -> Iterator[tuple[Topic, Message, Any]]:
        """Every message of the topics that are wanted, decoded, in the order of the file.

        The last item may be an exception in place of the message: why the file could not be read further, or why one
        could not be decoded.

        Raises:
            SourceError: this is no MCAP file, or the library is not installed.
        """
        stream_reader = _library(self.path)
        with _opened(self.path) as file:
            reader = stream_reader.StreamReader(file, emit_chunks=True, record_size_limit=_MAX_RECORD_BYTES)
            records = reader.records
            chosen: dict[int, Topic | None] = {}
            offset = MAGIC_BYTES
            while True:
                try:
                    record = next(records, None)
                    if record is None:
                        return
                    inner = self._unpacked(record, stream_reader)
                except Exception as error:  # the library raises what its parts do: struct, lz4, zstandard
                    if offset == MAGIC_BYTES:
                        raise SourceError(
                            f"{self.path} is no MCAP file or is damaged at its beginning ({_said(error)}); restore it "
                            "from the original log"
                        ) from error
                    problem = SourceError(f"{self.path} breaks off after {offset} bytes ({_said(error)})")
                    yield Topic("", "", ""), Message(offset, 0, 0), problem
                    return
                row = 0
                for entry in inner:
                    if not hasattr(entry, "log_time"):
                        continue
                    if entry.channel_id not in chosen:
                        topic = self._topic(entry.channel_id)
                        chosen[entry.channel_id] = topic if topic is not None and wanted(topic) else None
                    found = chosen[entry.channel_id]
                    if found is not None:
                        yield found, Message(offset, row, entry.log_time), self._decoded(entry)
                    row += 1
                offset = file.tell()

    def read(self, message: Message) -> Any:
        """A message, decoded.

        Raises:
            SourceError: it cannot be read or decoded any more.
        """
        with self._lock:
            found = _messages_at(self.path, message.offset, self._state())
            decoded = self._decoded(found[message.row]) if message.row < len(found) else None
        if decoded is None or isinstance(decoded, SourceError):
            raise decoded or SourceError(f"{self.path} has changed since it was opened; open it again")
        return decoded

    def _state(self) -> tuple[int, int]:
        state = self.path.stat()
        return state.st_size, state.st_mtime_ns

    def _unpacked(self, record: Any, stream_reader: Any) -> list[Any]:
        """Records of a chunk, or the record itself; remembers channels and schemas."""
        inner = _records_of(record, stream_reader)
        for entry in inner:
            if hasattr(entry, "message_encoding"):
                self._channels[entry.id] = (entry, self._schemas.get(entry.schema_id))
            elif type(entry).__name__ == "Schema":
                self._schemas[entry.id] = entry
        return inner

    def _topic(self, channel_id: int) -> Topic | None:
        channel, schema = self._channels.get(channel_id, (None, None))
        if channel is None or schema is None:
            return None
        return Topic(channel.topic, schema.name, channel.message_encoding)

    def _decoded(self, entry: Any) -> Any:
        """A message's content, or the :class:`SourceError` that says why there is none."""
        channel, schema = self._channels.get(entry.channel_id, (None, None))
        if channel is None:
            return SourceError(f"{self.path}: a message is of channel {entry.channel_id}, which is unknown")
        where = f"{self.path}, {channel.topic} at {entry.log_time} ns"
        try:
            if entry.channel_id not in self._decoders:
                self._decoders[entry.channel_id] = _decoder(channel, schema)
            decode = self._decoders[entry.channel_id]
            if decode is None:
                return SourceError(
                    f"{where}: {channel.message_encoding} with a schema in {schema.encoding} is not read; expected "
                    "cdr with ros2msg, or protobuf"
                )
            return decode(entry.data)
        except Exception as error:  # schemas are code of a kind: what they make of bytes may raise anything
            return SourceError(f"{where}: the message cannot be decoded ({_said(error)}); restore the file")


def _decoder(channel: Any, schema: Any) -> Callable[[bytes], Any] | None:
    from mcap_protobuf.decoder import DecoderFactory as Protobuf
    from mcap_ros2.decoder import DecoderFactory as Ros2

    for factory in (Ros2(), Protobuf()):
        found: Callable[[bytes], Any] | None = factory.decoder_for(channel.message_encoding, schema)
        if found is not None:
            return found
    return None


def _library(path: Path) -> Any:
    try:
        import mcap_protobuf.decoder  # noqa: F401
        import mcap_ros2.decoder  # noqa: F401
        from mcap import stream_reader
    except ImportError as error:
        raise SourceError(
            f"{path} needs mcap, mcap-ros2-support and mcap-protobuf-support; install them with "
            "`pip install 'fleetlabel[mcap]'`"
        ) from error
    return stream_reader


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _records_of(record: Any, stream_reader: Any) -> list[Any]:
    if not hasattr(record, "uncompressed_size") or not hasattr(record, "data"):
        return [record]
    if record.uncompressed_size > _MAX_RECORD_BYTES:
        raise SourceError(
            f"a chunk says that it unpacks to {record.uncompressed_size} bytes, more than any recorder writes"
        )
    record.data, record.compression = _unpack(record), ""
    return list(stream_reader.breakup_chunk(record))


def _unpack(chunk: Any) -> bytes:
    """A chunk's data, never more than it declares: the library would unpack whatever an LZ4 frame gives."""
    limit = int(chunk.uncompressed_size)
    if chunk.compression == "":
        return bytes(chunk.data)
    if chunk.compression == "lz4":
        import lz4.frame

        unpacker = lz4.frame.LZ4FrameDecompressor()
        data: bytes = unpacker.decompress(chunk.data, max_length=limit)
        whole = unpacker.eof or not unpacker.decompress(b"", max_length=1)
    elif chunk.compression == "zstd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(chunk.data)
        data = reader.read(limit)
        whole = not reader.read(1)
    else:
        raise SourceError(f"a chunk is packed by {chunk.compression[:20]!r}, expected lz4 or zstd")
    if len(data) != limit or not whole:
        raise SourceError(f"a chunk does not unpack to the {limit} bytes that it says")
    return data


@lru_cache(maxsize=_CHUNKS_KEPT)
def _messages_at(path: Path, offset: int, state: tuple[int, int]) -> list[Any]:
    """Messages of the record at an offset, as they are."""
    stream_reader = _library(path)
    with _opened(path) as file:
        file.seek(offset)
        reader = stream_reader.StreamReader(
            file, skip_magic=True, emit_chunks=True, record_size_limit=_MAX_RECORD_BYTES
        )
        try:
            record = next(reader.records)
            return [entry for entry in _records_of(record, stream_reader) if hasattr(entry, "log_time")]
        except Exception as error:
            raise SourceError(
                f"{path} cannot be read at {offset} ({_said(error)}); restore the file"
            ) from error


def _said(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]
