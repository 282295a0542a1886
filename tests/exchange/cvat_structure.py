"""The structure that CVAT publishes for its XML 1.1 of videos, as a check: CVAT has no schema file.

https://docs.cvat.ai/docs/manual/advanced/xml_format/ lists which element holds which, and what each attribute is.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

_NUMBER, _FLAG, _FLOAT, _ANY = r"\d+", "[01]", r"-?\d+(\.\d+)?(e-?\d+)?", ".*"
# Element -> (attributes it must have, elements that may stand in it).
_STRUCTURE: dict[str, tuple[dict[str, str], set[str]]] = {
    "annotations": ({}, {"version", "meta", "track"}),
    "version": ({}, set()),
    "meta": ({}, {"task", "dumped", "source"}),
    "task": (
        {},
        {
            "id",
            "name",
            "size",
            "mode",
            "overlap",
            "bugtracker",
            "created",
            "updated",
            "start_frame",
            "stop_frame",
        }
        | {"frame_filter", "labels", "segments", "owner", "assignee", "original_size"},
    ),
    "labels": ({}, {"label"}),
    "label": ({}, {"name", "color", "type", "attributes"}),
    "attributes": ({}, {"attribute"}),
    "track": ({"id": _NUMBER, "label": _ANY, "source": _ANY}, {"box"}),
    "box": (
        {"frame": _NUMBER, "outside": _FLAG, "occluded": _FLAG, "keyframe": _FLAG, "z_order": _NUMBER}
        | dict.fromkeys(("xtl", "ytl", "xbr", "ybr"), _FLOAT),
        {"attribute"},
    ),
    "original_size": ({}, {"width", "height"}),
}


def assert_follows_the_published_structure(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    labels = {label.findtext("name") for label in root.iter("label")}
    declared = {
        attribute.findtext("name") for attribute in root.iter("attribute") if attribute.get("name") is None
    }
    last_frame = int(root.findtext("meta/task/stop_frame", ""))
    for element in root.iter():
        if element.tag not in _STRUCTURE:
            continue
        attributes, children = _STRUCTURE[element.tag]
        assert {child.tag for child in element} <= children, element.tag
        for name, pattern in attributes.items():
            assert re.fullmatch(pattern, element.get(name, "")), (element.tag, name, element.get(name))
    tracks = list(root.iter("track"))
    assert len({track.get("id") for track in tracks}) == len(tracks)
    for track in tracks:
        assert track.get("label") in labels
        boxes = track.findall("box")
        frames = [int(box.get("frame", "")) for box in boxes]
        assert frames == sorted(set(frames))
        assert boxes[0].get("keyframe") == "1"
        assert boxes[0].get("outside") == "0"
        assert boxes[-1].get("outside") == "1" or frames[-1] == last_frame
        for box, after in zip(boxes, frames[1:], strict=False):
            # Whatever is not listed is absent, and CVAT is told so.
            assert box.get("outside") == "1" or after == int(box.get("frame", "")) + 1
        for attribute in track.iter("attribute"):
            assert attribute.get("name") in declared
