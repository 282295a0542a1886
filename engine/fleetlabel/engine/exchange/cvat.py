"""CVAT XML 1.1 (https://docs.cvat.ai/docs/manual/advanced/xml_format/): "CVAT for video" out and in, "for images" in.

Edges are real-valued pixels as ours. Frames count from 0. A track has one label, so a track of ours whose class changes
is several of CVAT's with the same ``track_id``. ``outside="1"`` stands at the first frame on which an object is absent,
as a keyframe. Keyframes are people's boxes, besides the first and the last box of every stretch; in a track that nobody
edited, every box is one. CVAT takes over keyframes only and draws straight lines between them; the file has all boxes.

Reading, a box that CVAT left out between two of a track is on the straight line between them, as CVAT shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from fleetlabel.engine.exchange.attributes import ATTRIBUTES, attribute_rows, given, number, read_attributes
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels, is_keyframe
from fleetlabel.engine.exchange.rows import Rows, camera_in, frame_in
from fleetlabel.engine.exchange.writing import new_text
from fleetlabel.engine.ingest.large_files import label_files
from fleetlabel.engine.ingest.xml_events import Event, elements
from fleetlabel.geometry.arrays import AnyArray, Bool
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import SourceError

_COLUMNS = ("xyxy_px", "amodal_xyxy_px", "track_id", "score", "ignore", *ATTRIBUTES)
_EDGES = ("xtl", "ytl", "xbr", "ybr")
_OTHER_SHAPES = frozenset({"polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask", "tag"})
_NO_BOX = (float("nan"),) * 4
# Attributes of every label: name, whether it may change along a track, kind of input.
_DECLARED = (
    ("track_id", False, "text"),
    ("ignore", True, "checkbox"),
    ("score", True, "text"),
    ("amodal", True, "text"),
    *((name, True, "text") for name in ATTRIBUTES),
)


class CvatLabels(WritableFormat):
    """CVAT XML, one file per camera."""

    name = "cvat"
    title = "CVAT XML 1.1"
    looks_for = (
        "<sequence>-<camera>.xml, or one .xml file (CVAT for video or for images 1.1), or a .zip with one"
    )
    carries = Carries(
        pictures=exactly("class_id", *_COLUMNS),
        keyframes=True,
        notes=(
            "CVAT takes over keyframes only: in tracks that people edited, boxes between keyframes lie on straight "
            "lines there, although the file has them as they are",
        ),
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        found = []
        for camera in labels.cameras:
            path = out / f"{labels.drive.file_name}-{camera}.xml"
            with new_text(path) as file:
                file.write(
                    '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
                )
                file.write(_meta(labels, camera))
                tracks = _Tracks(file, labels)
                for boxes in labels.picture_tracks(camera):
                    tracks.write(boxes)
                file.write("</annotations>\n")
            found.append(f"{path}: {tracks.n_boxes} boxes, {tracks.n_tracks} tracks")
        return found

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = sorted(path.glob(f"{reading.drive.file_name}-*.xml"))
        for file in own or label_files(path, "*.xml", "CVAT XML"):
            yield from _Reader(file, reading).blocks()


class _Tracks:
    """Writes tracks, and counts them."""

    def __init__(self, file: TextIO, labels: Labels) -> None:
        self._file, self._n_frames = file, labels.n_frames
        self._names = [quoteattr(name) for name in labels.class_names]
        self.n_boxes = self.n_tracks = 0

    def write(self, boxes: Boxes2D) -> None:
        """Writes a block of whole tracks."""
        order = np.lexsort((boxes.frame, boxes.track_id))
        track, class_id = boxes.track_id[order], boxes.class_id[order]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (np.diff(track) != 0) | (np.diff(class_id) != 0) | (track[1:] < 0)
        begins[1:] |= np.diff(boxes.frame[order]) == 0  # twice in a frame: that cannot be one track
        keyframe = _keyframes(np.cumsum(begins), boxes.frame[order], is_keyframe(boxes)[order])
        rows = zip(
            boxes.frame[order].tolist(),
            class_id.tolist(),
            track.tolist(),
            begins.tolist(),
            keyframe.tolist(),
            boxes.xyxy_px[order].tolist(),
            _described(boxes, order),
            strict=True,
        )
        last: tuple[int, str] | None = None
        for frame, kind, track_id, begin, key, edges, said in rows:
            place = 'xtl="{!r}" ytl="{!r}" xbr="{!r}" ybr="{!r}" z_order="0"'.format(*edges)
            hidden = int(said.get("occlusion", 0) > 0)
            if begin:
                self._end(last)
                self._file.write(f'  <track id="{self.n_tracks}" label={self._names[kind]} source="file">\n')
                self.n_tracks += 1
            elif last and frame > last[0] + 1:
                self._absent(*last)
            self._file.write(
                f'    <box frame="{frame}" outside="0" occluded="{hidden}" keyframe="{int(key)}" {place}>\n'
            )
            values = {"track_id": track_id, **said}
            self._file.writelines(
                f'      <attribute name="{name}">{values[name]}</attribute>\n'
                for name, *_ in _DECLARED
                if name in values
            )
            self._file.write("    </box>\n")
            last = (frame, place)
            self.n_boxes += 1
        self._end(last)

    def _absent(self, frame: int, place: str) -> None:
        if frame + 1 < self._n_frames:
            self._file.write(
                f'    <box frame="{frame + 1}" outside="1" occluded="0" keyframe="1" {place}/>\n'
            )

    def _end(self, last: tuple[int, str] | None) -> None:
        if last:
            self._absent(*last)
            self._file.write("  </track>\n")


def _keyframes(track: AnyArray, frame: AnyArray, set_by_people: Bool) -> Bool:
    """Which boxes (N,) are keyframes; by track, then frame."""
    apart = np.ones(len(track) + 1, dtype=np.bool_)
    apart[1:-1] = (np.diff(track) != 0) | (np.diff(frame) > 1)
    edited = np.zeros(len(track) + 2, dtype=np.bool_)
    edited[track[set_by_people]] = True
    return np.asarray(set_by_people | ~edited[track] | apart[:-1] | apart[1:])


def _described(boxes: Boxes2D, order: AnyArray) -> Iterator[dict[str, Any]]:
    mine = Boxes2D.from_columns(
        boxes.class_names,
        {name: column[order] for name, column in boxes.columns().items()} | {"frame": np.zeros(len(order))},
    )
    whole = given(mine.amodal_xyxy_px)
    columns = (
        whole,
        mine.amodal_xyxy_px.tolist(),
        mine.ignore.tolist(),
        mine.score.tolist(),
        attribute_rows(mine),
    )
    for has_whole, amodal, ignore, score, said in zip(*columns, strict=True):
        del said["keyframe"]
        said["ignore"], said["score"] = str(ignore).lower(), score
        if has_whole:
            said["amodal"] = " ".join(map(repr, amodal))
        yield said


def _meta(labels: Labels, camera: str) -> str:
    width, height = labels.drive.size_px(camera)
    attributes = "".join(
        f"<attribute><name>{name}</name><mutable>{changes}</mutable><input_type>{kind}</input_type>"
        f"<default_value>{'false' if kind == 'checkbox' else ''}</default_value>"
        f"<values>{'false' if kind == 'checkbox' else ''}</values></attribute>"
        for name, changes, kind in _DECLARED
    )
    names = "".join(
        f"        <label><name>{escape(name)}</name><type>any</type><attributes>{attributes}</attributes></label>\n"
        for name in labels.class_names
    )
    return (
        f"  <meta>\n    <task>\n      <name>{escape(labels.drive.info.name)} {escape(camera)}</name>\n"
        f"      <size>{labels.n_frames}</size>\n      <mode>interpolation</mode>\n      <overlap>0</overlap>\n"
        f"      <start_frame>0</start_frame>\n      <stop_frame>{labels.n_frames - 1}</stop_frame>\n"
        f"      <labels>\n{names}      </labels>\n"
        f"      <original_size><width>{width}</width><height>{height}</height></original_size>\n"
        "    </task>\n  </meta>\n"
    )


@dataclass(slots=True)
class _Box:
    line: int
    frame: int
    edges: tuple[float, ...]
    outside: bool
    keyframe: bool
    hidden: bool
    label: str
    attributes: dict[str, str] = field(default_factory=dict)


class _Reader:
    """One file's boxes."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path, self._reading = path, reading
        self._rows = Rows(Boxes2D, path, reading, _COLUMNS)
        self._camera = ""

    def blocks(self) -> Iterator[Block]:
        """What was read, in blocks."""
        track: Mapping[str, str] = {}
        image: tuple[str, int] | None = None
        boxes: list[_Box] = []
        box: _Box | None = None
        name = ""
        for event in elements(self._path):
            if event.begins:
                if event.tag == "track":
                    self._camera = self._camera or camera_in(self._path.name, self._reading)
                    track, boxes = event.attributes, []
                elif event.tag == "image":
                    image = self._picture(event)
                elif event.tag == "box" and (track or image):
                    box = self._box(event, track, image[1] if image else None)
                elif event.tag == "attribute":
                    name = event.attributes.get("name", "")
                elif event.tag in _OTHER_SHAPES and (track or image):
                    self._reading.skipped[f"{event.tag} shapes: they are no boxes"] += 1
                continue
            if event.tag == "attribute" and box:
                box.attributes[name] = event.text
            elif event.tag == "box" and box:
                if track:
                    self._check_order(boxes, box)
                    boxes.append(box)
                elif image:
                    self._add(image[0], box, box.edges, box.frame, Source.UNKNOWN, -1)
                box = None
            elif event.tag == "track":
                self._add_track(track, boxes)
                track = {}
            elif event.tag == "image":
                image = None
            if self._rows.full():
                yield from self._rows.blocks()
        yield from self._rows.blocks()

    def _picture(self, event: Event) -> tuple[str, int]:
        name = event.attributes.get("name", "")
        frame = frame_in(name)
        if frame is None:
            frame = self._whole(event, "id")
        return camera_in(f"{self._path.name[:-4]}/{name}", self._reading), frame

    def _box(self, event: Event, track: Mapping[str, str], frame: int | None) -> _Box:
        said, where = event.attributes, f"{self._path} line {event.line}"
        edges = tuple(number(said, edge, float("nan"), where) for edge in _EDGES)
        if number(said, "rotation", 0.0, where):
            edges = _around_rotated(edges, float(said["rotation"]))
            self._reading.skipped["rotations of boxes: they became the upright boxes around them"] += 1
        return _Box(
            event.line,
            self._whole(event, "frame") if frame is None else frame,
            edges,
            outside=said.get("outside") == "1",
            keyframe=said.get("keyframe", "1") == "1",
            hidden=said.get("occluded") == "1",
            label=track.get("label") or said.get("label", ""),
        )

    def _check_order(self, boxes: list[_Box], box: _Box) -> None:
        if not 0 <= box.frame < self._reading.drive.info.n_frames:
            raise SourceError(
                f"{self._path} line {box.line} is of frame {box.frame}, but {self._reading.drive.info.name} has frames "
                f"0..{self._reading.drive.info.n_frames - 1}; these labels are of another drive"
            )
        if boxes and box.frame <= boxes[-1].frame:
            raise SourceError(
                f"{self._path} line {box.line}: frame {box.frame} of a track comes after {boxes[-1].frame}; frames "
                "of a track ascend"
            )

    def _add_track(self, track: Mapping[str, str], boxes: list[_Box]) -> None:
        made_by = Source.DETECTOR if track.get("source") in ("auto", "semi-auto") else Source.HUMAN
        track_id = self._whole(Event(True, "track", track, "", boxes[0].line if boxes else 0), "id")
        for box, following in zip(boxes, [*boxes[1:], None], strict=True):
            if box.outside:
                continue
            self._add(
                self._camera,
                box,
                box.edges,
                box.frame,
                made_by if box.keyframe else Source.INTERPOLATED,
                track_id,
            )
            if following is None:
                continue
            steps = following.frame - box.frame
            start, end = np.array(box.edges), np.array(following.edges)
            for step in range(1, steps):
                edges = tuple((start + (end - start) * step / steps).tolist())
                self._add(
                    self._camera, box, edges, box.frame + step, Source.INTERPOLATED, track_id, between=True
                )

    def _add(
        self,
        camera: str,
        box: _Box,
        edges: tuple[float, ...],
        frame: int,
        source: Source,
        track_id: int,
        *,
        between: bool = False,
    ) -> None:
        said: dict[str, Any] = {
            "occluded": int(box.hidden),
            **{k: v for k, v in box.attributes.items() if v != ""},
        }
        if between:
            said.pop("source", None)
            said.pop("amodal", None)
        elif "source" in said and "occlusion" not in said:
            del said["occluded"]  # our own file: unknown is unknown
        where = f"{self._path} line {box.line}"
        self._rows.add(
            box.line,
            camera,
            frame,
            box.label,
            edges,
            _amodal(said.get("amodal"), where),
            int(number(said, "track_id", track_id, where))
            if "track_id" not in said
            else _id(said["track_id"], where),
            number(said, "score", 1.0, where),
            str(said.get("ignore", "false")).lower() == "true",
            *read_attributes(said, where, source),
        )

    def _whole(self, event: Event, name: str) -> int:
        return _id(event.attributes.get(name, ""), f"{self._path} line {event.line}: {name}")


def _id(text: str, where: str) -> int:
    try:
        value = int(text)
        if -(1 << 63) <= value < 1 << 63:
            return value
    except ValueError:
        pass
    raise SourceError(f"{where} is {text[:40]!r}, expected a whole number of at most 63 bits")


def _amodal(text: str | None, where: str) -> tuple[float, ...]:
    if text is None:
        return _NO_BOX
    try:
        edges = tuple(float(value) for value in text.split())
    except ValueError:
        edges = ()
    if len(edges) != 4:
        raise SourceError(f"{where}: amodal is {text[:80]!r}, expected four numbers")
    return edges


def _around_rotated(edges: tuple[float, ...], degrees: float) -> tuple[float, ...]:
    """The upright box around a box that is turned about its centre."""
    x1, y1, x2, y2 = edges
    turn = np.radians(degrees)
    cos, sin = abs(np.cos(turn)), abs(np.sin(turn))
    half = np.array([(x2 - x1) * cos + (y2 - y1) * sin, (x2 - x1) * sin + (y2 - y1) * cos]) / 2
    center = np.array([x1 + x2, y1 + y2]) / 2
    return (*(center - half).tolist(), *(center + half).tolist())
