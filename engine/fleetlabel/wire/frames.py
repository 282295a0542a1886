"""Ranges of frames, and which labels are meant, as messages and back."""

from __future__ import annotations

from dataclasses import dataclass

from fleetlabel.v1 import frames_pb2
from fleetlabel.wire.errors import RequestError


@dataclass(frozen=True, slots=True)
class LabelsState:
    """Which labels an answer was made of.

    Attributes:
        base_version: label version of a machine's run, or the source's own labels, that people's edits are on.
        record: number of the last record of people's edits that is in effect, 0 if there is none; what edits that are
            made on these labels have to name.
        record_sha256: of that record and all before it; empty if there is none.
        version: that was asked for; empty if it was not a version.
    """

    base_version: str
    record: int
    record_sha256: str = ""
    version: str = ""


def range_message(start: int | None, stop: int | None) -> frames_pb2.FrameRange:
    """The frames ``start:stop``.

    Raises:
        RequestError: they are no numbers that frames can have.
    """
    try:
        return frames_pb2.FrameRange(start_frame=start, stop_frame=stop)
    except ValueError as error:
        raise RequestError("frames", "numbers of frames", f"{start} and {stop}") from error


def range_of(message: frames_pb2.FrameRange, n_frames: int, what: str = "frames") -> range:
    """The frames that are meant, within a sequence of ``n_frames``.

    Raises:
        RequestError: the range begins before frame 0 or ends before it begins.
    """
    start = message.start_frame if message.HasField("start_frame") else 0
    stop = message.stop_frame if message.HasField("stop_frame") else max(n_frames, start + 1)
    if not 0 <= start < stop:
        raise RequestError(what, "0 <= start_frame < stop_frame", f"{start} and {stop}")
    return range(min(start, n_frames), min(stop, n_frames))


def at_message(at: str | int | None) -> frames_pb2.LabelsAt | None:
    """Which labels: a version by its name, those after a record by its number, or the head (None).

    Raises:
        RequestError: the number is none that a record can have.
    """
    if at is None:
        return None
    try:
        return frames_pb2.LabelsAt(version=at) if isinstance(at, str) else frames_pb2.LabelsAt(record=at)
    except ValueError as error:
        raise RequestError("at", "a version's name or a record's number", repr(at)) from error


def at_of(message: frames_pb2.LabelsAt, what: str = "at") -> str | int | None:
    """The inverse of :func:`at_message`.

    Raises:
        RequestError: the version has no name.
    """
    kind = message.WhichOneof("at")
    if kind == "version" and not message.version:
        raise RequestError(f"{what}.version", "a version's name", "none", "leave `at` out to mean the head")
    return None if kind is None else message.version if kind == "version" else message.record


def state_message(state: LabelsState) -> frames_pb2.LabelsState:
    """Which labels an answer was made of."""
    return frames_pb2.LabelsState(
        version=state.version,
        base_version=state.base_version,
        record=state.record,
        record_sha256=state.record_sha256,
    )


def state_of(message: frames_pb2.LabelsState) -> LabelsState:
    """The inverse of :func:`state_message`."""
    return LabelsState(message.base_version, message.record, message.record_sha256, message.version)
