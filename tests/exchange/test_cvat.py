"""CVAT XML: the contract, keyframes and absence as CVAT means them, hostile XML, and Datumaro as another reader."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.cvat_structure import assert_follows_the_published_structure
from exchange.scenes import CAMERAS, LabelsInMemory, drive, random_labels
from fleetlabel.engine.exchange import export_labels, read_labels, writable_format
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError, UnsafeFileError


class TestCvat(LabelFormatContract):
    format_name = "cvat"


def one_track(frames: list[int], source: list[Source]) -> LabelsInMemory:
    on, frame = drive(), np.array(frames)
    edges = np.stack([10.0 + frame**2, 20.0 + frame, 60.0 + frame**2, 80.0 + frame], axis=1)
    boxes = Boxes2D(
        class_names=("car",),
        frame=frame,
        timestamp_ns=on.exposure_ns["front"][frame],
        class_id=np.zeros(len(frame)),
        track_id=np.full(len(frame), 77),
        source=np.array(source),
        xyxy_px=edges,
    )
    return LabelsInMemory(on, ("car",), {"front": boxes}, Boxes3D.empty(("car",)))


def written(labels: LabelsInMemory, folder: Path) -> list[dict[str, str]]:
    export_labels(labels, writable_format("cvat"), folder, "made")
    root = ElementTree.parse(folder / "monday_drive-front.xml").getroot()
    return [dict(box.attrib) for box in root.iter("box")]


def test_keyframes_are_peoples_and_the_first_absent_frame_is_outside(tmp_path: Path) -> None:
    smooth, human = Source.SMOOTHED, Source.HUMAN
    labels = one_track([2, 3, 4, 5, 8, 9, 10], [smooth, smooth, human, smooth, smooth, smooth, smooth])
    boxes = written(labels, tmp_path)
    said = [(int(box["frame"]), box["keyframe"], box["outside"]) for box in boxes]
    assert said == [
        *[(2, "1", "0"), (3, "0", "0"), (4, "1", "0"), (5, "1", "0"), (6, "1", "1")],
        *[(8, "1", "0"), (9, "0", "0"), (10, "1", "0"), (11, "1", "1")],
    ]


def test_without_people_every_box_is_a_keyframe(tmp_path: Path) -> None:
    boxes = written(one_track([0, 1, 2, 11], [Source.TRACKER] * 4), tmp_path)
    assert [(b["frame"], b["keyframe"], b["outside"]) for b in boxes] == [
        *[("0", "1", "0"), ("1", "1", "0"), ("2", "1", "0"), ("3", "1", "1")],
        ("11", "1", "0"),  # the last frame of the drive: there is no frame after it
    ]


def foreign(path: Path, body: str, head: str = "") -> Path:
    path.write_text(f'<?xml version="1.0"?>\n{head}<annotations><version>1.1</version>{body}</annotations>')
    return path


def box(frame: int, x: float, **attributes: object) -> str:
    said = {
        "outside": 0,
        "occluded": 0,
        "keyframe": 1,
        "xtl": x,
        "ytl": 0,
        "xbr": x + 10,
        "ybr": 10,
    } | attributes
    return f'<box frame="{frame}" ' + " ".join(f'{name}="{value}"' for name, value in said.items()) + "/>"


def test_boxes_between_keyframes_are_on_the_straight_line(tmp_path: Path) -> None:
    body = f'<track id="3" label="car">{box(1, 0)}{box(5, 40, occluded=1)}{box(6, 40, outside=1)}{box(9, 0)}</track>'
    found = read_labels(writable_format("cvat"), foreign(tmp_path / "front.xml", body), drive())
    boxes = found.pictures["front"]
    assert boxes.frame.tolist() == [1, 2, 3, 4, 5, 9]
    assert boxes.xyxy_px[:, 0].tolist() == [0, 10, 20, 30, 40, 0]
    assert [Source(s).name for s in boxes.source] == ["HUMAN", *["INTERPOLATED"] * 3, "HUMAN", "HUMAN"]
    assert boxes.occlusion.tolist() == [0, 0, 0, 0, 1, 0]
    assert set(boxes.track_id.tolist()) == {3}


def test_pictures_one_by_one_are_read_and_other_shapes_are_told(tmp_path: Path) -> None:
    body = (
        '<image id="0" name="rear/000004.png" width="1920" height="1080">'
        '<box label="car" xtl="1" ytl="2" xbr="3" ybr="4" occluded="1"><attribute name="colour">red</attribute></box>'
        '<box label="car" xtl="0" ytl="0" xbr="10" ybr="10" rotation="45"/>'
        '<polygon label="car" points="1,2;3,4"/></image>'
    )
    found = read_labels(writable_format("cvat"), foreign(tmp_path / "job.xml", body), drive())
    boxes = found.pictures["rear"]
    assert (boxes.frame.tolist(), boxes.occlusion.tolist()) == ([4, 4], [1, 0])
    reach = 5 * np.sqrt(2)
    np.testing.assert_allclose(boxes.xyxy_px[1], [5 - reach, 5 - reach, 5 + reach, 5 + reach])
    assert any("polygon" in line for line in found.skipped)


def test_an_archive_as_cvat_exports_it_is_read(tmp_path: Path) -> None:
    path = foreign(tmp_path / "annotations.xml", f'<track id="3" label="car">{box(1, 0)}</track>')
    with zipfile.ZipFile(tmp_path / "front.zip", "w") as archive:
        archive.write(path, "annotations.xml")
    found = read_labels(writable_format("cvat"), tmp_path / "front.zip", drive(), camera="front")
    assert len(found.pictures["front"]) == 1


_LAUGHS = "<!DOCTYPE a [<!ENTITY l0 'ha'>" + "".join(
    f"<!ENTITY l{n + 1} '{f'&l{n};' * 10}'>" for n in range(12)
)


@pytest.mark.parametrize(
    "head",
    [
        _LAUGHS + "]>",
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://x/y">',
    ],
)
def test_document_types_and_entities_are_refused(tmp_path: Path, head: str) -> None:
    path = foreign(tmp_path / "front.xml", "<track/>", head)
    with pytest.raises(UnsafeFileError, match="it was refused"):
        read_labels(writable_format("cvat"), path, drive())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<a>" * 100, "nested more than"),
        (f'<track id="3" label="car">{box(1, 0)}{box(10**15, 40)}</track>', "frame 1000000000000000, but"),
        (f'<track id="3" label="car">{box(5, 0)}{box(5, 40)}</track>', "comes after 5"),
        (f'<track id="x" label="car">{box(5, 0)}</track>', "id is 'x'"),
        ("", "no boxes"),
        ('<track id="3" label="car"><box frame="1" xtl="a"/></track>', "xtl is 'a'"),
        ('<track id="3" label="car"><box frame="1" xtl="1"/></track>', "not finite"),
        ('<track id="3" label="car"', "not well-formed"),
        (f'<track id="3" label="{"x" * 6_000_000}', "excessive length|not well-formed"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("cvat"), foreign(tmp_path / "front.xml", body), drive())


def test_files_follow_the_published_structure(tmp_path: Path) -> None:
    export_labels(random_labels(8), writable_format("cvat"), tmp_path, "made")
    for camera in CAMERAS:
        assert_follows_the_published_structure(tmp_path / f"monday_drive-{camera}.xml")


def test_datumaro_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(8)
    export_labels(labels, writable_format("cvat"), tmp_path / "out", "made")
    for camera, boxes in labels.boxes2d.items():
        rows = ask_oracle("datumaro", "cvat", tmp_path / f"out/monday_drive-{camera}.xml")
        mine = sorted(
            (int(frame), str(name), *np.round(xyxy, 2).tolist())
            for frame, name, xyxy in zip(boxes.frame, boxes.class_labels(), boxes.xyxy_px, strict=True)
        )
        rows = [row for row in rows if not row["attributes"].get("outside")]
        theirs = sorted((row["frame"], row["label"], *np.round(row["xyxy"], 2).tolist()) for row in rows)
        assert [row[:2] for row in theirs] == [row[:2] for row in mine]
        np.testing.assert_allclose([row[2:] for row in theirs], [row[2:] for row in mine], atol=0.011)
