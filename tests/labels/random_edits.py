"""Edits at random, sensible and not: what property tests do to labels."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from fleetlabel.labels import edits as e
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.objects import FIRST_BORN_ID
from labels.scenes import CAMERAS, FRAMES, NAMES, TRACKS

BORN = [FIRST_BORN_ID + index for index in range(2)]


def edits(ids: Sequence[int] = (1, 2, 3, TRACKS, *BORN)) -> st.SearchStrategy[Edit]:
    """Any edit of objects with these ids."""
    some = st.sampled_from(ids)
    born = st.sampled_from(BORN)
    frame = st.integers(0, FRAMES - 1)
    key_frame = st.sampled_from([2, 5, 13])  # few, so that what is set is also unset
    maybe_frame = st.none() | frame
    meters = st.floats(-50, 50, allow_nan=False)
    center = st.tuples(meters, meters, st.floats(-2, 3))
    size = st.tuples(*[st.floats(0.5, 6)] * 3)
    yaw = st.floats(-4, 4)
    corner = st.integers(0, 300)
    box = st.builds(lambda x, y, w, h: (x, y, x + 1 + w, y + 1 + h), corner, corner, corner, corner)
    camera, any_camera = st.sampled_from(CAMERAS), st.sampled_from(["", *CAMERAS])
    ranges = {"start": maybe_frame, "stop": st.none() | st.integers(1, FRAMES)}
    name = st.sampled_from(NAMES)
    value = st.sampled_from([None, True, 1, 1.0, "red", ""])
    build = st.builds
    text = st.just("look")
    return st.one_of(
        build(e.CreateObject, object_id=born, class_name=name),
        build(e.DeleteObject, object_id=some),
        build(
            e.SetKeyframe3D,
            object_id=some,
            frame=key_frame,
            center_m=center,
            yaw_rad=yaw,
            size_lwh_m=st.none() | size,
        ),
        build(e.SetKeyframe3D, object_id=some, frame=key_frame, center_m=center, yaw_rad=yaw),
        build(e.UnsetKeyframe3D, object_id=some, frame=key_frame),
        build(
            e.SetKeyframe2D,
            object_id=some,
            camera=camera,
            frame=key_frame,
            xyxy_px=box,
            amodal_xyxy_px=st.none() | box,
        ),
        build(e.UnsetKeyframe2D, object_id=some, camera=camera, frame=key_frame),
        build(e.SetAbsent, object_id=some, camera=any_camera, **ranges),
        build(e.ClearAbsent, object_id=some, camera=any_camera, **ranges),
        build(e.TrimStart, object_id=some, frame=maybe_frame),
        build(e.TrimEnd, object_id=some, frame=maybe_frame),
        build(e.Split, object_id=some, frame=frame, new_id=born, camera=any_camera),
        build(e.Merge, object_id=st.sampled_from([2, 3, 1]), other_id=st.sampled_from([3, 2, BORN[0]])),
        build(e.ChangeIdentity, object_id=some, frame=frame, other_id=some, camera=any_camera),
        build(e.SwapIdentities, object_id=some, frame=frame, other_id=some),
        build(e.SetClass, object_id=some, class_name=name, **ranges),
        build(e.SetAttribute, object_id=some, name=st.sampled_from(["color", "door"]), value=value, **ranges),
        build(e.SetFlags, object_id=some, camera=any_camera, occlusion=st.integers(0, 3), **ranges),
        build(
            e.SetFlags,
            object_id=some,
            camera=any_camera,
            truncation=st.floats(0, 1),
            ignore=st.booleans(),
            **ranges,
        ),
        build(e.Resize, object_id=some, size_lwh_m=st.none() | size),
        build(e.FlipHeading, object_id=some),
        build(e.SetStationary, object_id=some, stationary=st.none() | st.booleans()),
        build(e.Accept, object_id=some, accepted=st.booleans(), **ranges),
        build(e.Escalate, object_id=some, text=text, frame=st.none() | key_frame),
        build(e.Settle, object_id=some, text=text, frame=st.none() | key_frame),
    )


def there_and_back() -> st.SearchStrategy[list[Edit]]:
    """Two edits of which the second needs the first."""
    some, frame, camera = st.sampled_from([1, 2, TRACKS]), st.sampled_from([2, 5]), st.sampled_from(CAMERAS)
    box = (10.0, 20.0, 60.0, 90.0)

    def pairs(i: int, f: int, c: str) -> list[list[Edit]]:
        pose = e.SetKeyframe3D(object_id=i, frame=f, center_m=(1.0 * i, 2.0, 0.5), yaw_rad=0.1)
        return [
            [pose, e.UnsetKeyframe3D(object_id=i, frame=f)],
            [
                e.SetKeyframe2D(object_id=i, camera=c, frame=f, xyxy_px=box),
                e.UnsetKeyframe2D(object_id=i, camera=c, frame=f),
            ],
            [e.Escalate(object_id=i, text="look", frame=f), e.Settle(object_id=i, text="look", frame=f)],
            [e.Split(object_id=i, frame=f, new_id=BORN[0]), e.Merge(object_id=i, other_id=BORN[0])],
            [
                e.Split(object_id=i, frame=f, new_id=BORN[1]),
                e.ChangeIdentity(object_id=i, frame=0, other_id=BORN[1]),
            ],
            [pose, e.Split(object_id=i, frame=f, new_id=BORN[1], camera=c)],
        ]

    return st.builds(pairs, some, frame, camera).flatmap(st.sampled_from)


SEQUENCES = st.lists(edits().map(lambda edit: [edit]) | there_and_back(), min_size=1, max_size=12).map(
    lambda parts: [edit for part in parts for edit in part]
)
