"""Values at random that messages carry."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fleetlabel.labels import Flag, LabelObject, Note, PictureBox, Pose, Segment
from fleetlabel.labels.objects import joined_segments
from fleetlabel.labels.spans import Spans
from fleetlabel.model.boxes import Boxes
from fleetlabel.wire.boxes import Block, Provenance

FRAMES = 40
_FINITE = st.floats(-1e6, 1e6)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).filter(str.strip)


@st.composite
def blocks(draw: st.DrawFn, kind: type[Any], camera: str = "") -> Block[Any]:
    """Blocks of any boxes, some of whose columns have the same value in all rows."""
    rows = draw(st.integers(0, 12))
    start = draw(st.integers(0, 5))
    stop = draw(st.integers(start + 1, start + 9))
    names = draw(st.lists(_TEXT, min_size=1, max_size=3, unique=True))
    columns = {"frame": np.sort(draw(hnp.arrays(np.int32, rows, elements=st.integers(start, stop - 1))))}
    for name in set(kind.column_names()) - {"frame"}:
        dtype, shape = kind.column_spec(name)
        default = kind.__dataclass_fields__[name].metadata["default"]
        if default is not None and draw(st.booleans()):
            continue
        elements = st.integers(0, len(names) - 1) if name == "class_id" else hnp.from_dtype(dtype)
        columns[name] = draw(hnp.arrays(dtype, (rows, *shape), elements=elements))
    provenances = tuple(draw(st.lists(st.builds(Provenance, _TEXT, st.just("lift"), _TEXT), max_size=2)))
    each = st.integers(-1, len(provenances) - 1)
    provenance = draw(hnp.arrays(np.int16, rows, elements=each))
    boxes: Boxes = kind(class_names=tuple(names), **columns)
    return Block(boxes, start, stop, camera, provenances, provenance)


@st.composite
def objects(draw: st.DrawFn, object_id: int) -> LabelObject:
    """Objects with any words of people."""
    frames = st.integers(0, FRAMES - 1)
    cameras = st.sampled_from(["front", "back"])
    edges = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), _FINITE, _FINITE, *[st.floats(1, 100)] * 2)
    sizes = st.tuples(*[st.floats(0.1, 50)] * 3)
    flags = {
        Flag.ABSENT: st.just(True),
        Flag.OCCLUSION: st.integers(0, 3),
        Flag.TRUNCATION: st.floats(0, 1),
        Flag.IGNORE: st.booleans(),
    }
    said = draw(st.lists(st.tuples(st.sampled_from(list(Flag)), st.sampled_from(["", "front"])), max_size=3))
    segments = st.builds(
        lambda c, t, a, n: Segment(c, t, a, a + n), cameras, st.integers(0, 9), frames, frames
    )
    values = (
        st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | _TEXT
    )
    return LabelObject(
        object_id=object_id,
        segments=joined_segments(draw(st.lists(segments, max_size=3))),
        poses=draw(st.dictionaries(frames, st.builds(Pose, st.tuples(*[_FINITE] * 3), _FINITE), max_size=3)),
        boxes=draw(
            st.dictionaries(
                st.tuples(cameras, frames), st.builds(PictureBox, edges, st.none() | edges), max_size=3
            )
        ),
        size_lwh_m=draw(st.none() | sizes),
        stationary=draw(st.none() | st.booleans()),
        flipped=draw(st.booleans()),
        start=draw(st.none() | frames),
        stop=draw(st.none() | frames),
        flags={key: draw(_spans(flags[key[0]])) for key in said},
        classes=draw(_spans(_TEXT)),
        attributes=draw(st.dictionaries(_TEXT, _spans(values), max_size=2)),
        accepted=draw(_spans(st.just(True))),
        notes=tuple(draw(st.lists(st.builds(Note, _TEXT, st.none() | frames), max_size=2))),
    )


@st.composite
def _spans(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Spans[Any]:
    spans: Spans[Any] = Spans()
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, FRAMES - 1))
        spans = spans.assign(start, draw(st.integers(start + 1, FRAMES)), draw(values))
    return spans
