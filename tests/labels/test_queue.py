"""The queue: it leads to what is wrong, follows what people do, and says when there is no more to do."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.labels import Item, Labels, Leases, Queue, QueueConfig, next_items, ranked_together
from fleetlabel.labels import edits as e
from fleetlabel.labels.evidence import SIGNALS, Evidence, View
from fleetlabel.labels.ranking import Reach, after_looks, gains, votes_split
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceInfo, SequenceStore, verify
from labels.editors import take_leases
from labels.scenes import NAMES, open_labels

FRAMES = 60


def drive(root: Path, frame: np.ndarray, track: np.ndarray, **columns: object) -> Labels:
    """Labels of cars that drive ahead in lanes far apart, detected in every frame; ``columns`` change some boxes."""
    times = np.arange(FRAMES, dtype=np.int64) * 100_000_000
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (FRAMES, 1))
    store = SequenceStore.create(root, SequenceInfo("drive", (), times, Trajectory(times, poses)))
    n = len(frame)
    usual: dict[str, object] = {
        "score": np.full(n, 0.99, np.float32),
        "source": np.full(n, Source.DETECTOR),
        "detection": np.arange(n) - np.searchsorted(frame, frame),
        "center_m": np.stack([5.0 + 0.3 * frame, 12.0 * track, np.full(n, 0.8)], axis=1),
        "size_lwh_m": np.tile([4.0, 1.8, 1.5], (n, 1)),
        "class_id": np.zeros(n, np.int16),
    }
    boxes = Boxes3D(
        class_names=NAMES, frame=frame, timestamp_ns=times[frame], track_id=track + 1,
        q_wxyz=quaternion.from_yaw(np.zeros(n)), **{**usual, **columns},
    )  # fmt: skip
    store.write_labels("auto", {}, boxes, class_names=NAMES, provenance={})
    return Labels.open(store)


def rows(n_tracks: int = 3) -> tuple[np.ndarray, np.ndarray]:
    frame, track = (a.ravel() for a in np.meshgrid(np.arange(FRAMES), np.arange(n_tracks), indexing="ij"))
    return frame, track


def accept(item: Item) -> e.Accept:
    return e.Accept(object_id=item.object_id, start=item.frame, stop=item.frame + 1)


# --- where it leads to ------------------------------------------------------------------------------------------------


def test_it_leads_to_weak_detections_and_says_so(tmp_path: Path) -> None:
    frame, track = rows()
    weak = (track == 1) & (frame > 30) & (frame < 45)
    labels = drive(tmp_path / "a.zarr", frame, track, score=np.where(weak, 0.05, 0.99).astype(np.float32))
    first = Queue(labels).items(1)[0]
    assert (first.object_id, first.camera) == (2, "") and 30 < first.frame < 45
    assert "detections are weak" in first.reason
    assert first.score == pytest.approx(first.fixes / first.seconds)


def test_it_leads_to_where_nothing_was_detected(tmp_path: Path) -> None:
    frame, track = rows()
    gap = (track == 0) & (frame >= 20) & (frame < 40)
    labels = drive(
        tmp_path / "a.zarr", frame, track,
        source=np.where(gap, Source.INTERPOLATED, Source.DETECTOR), detection=np.where(gap, -1, track),
    )  # fmt: skip
    first = Queue(labels).items(1)[0]
    assert first.object_id == 1 and 20 <= first.frame < 40
    assert "few detections around here" in first.reason


def test_another_object_from_some_frame_on_is_suspected(tmp_path: Path) -> None:
    frame, track = rows()
    center = np.stack([5.0 + 0.3 * frame, 12.0 * track, np.full(len(frame), 0.8)], axis=1)
    size = np.tile([4.0, 1.8, 1.5], (len(frame), 1))
    later = (track == 2) & (frame >= 25)
    center[later, 1] += 3.0
    size[later] *= 1.3
    labels = drive(tmp_path / "a.zarr", frame, track, center_m=center, size_lwh_m=size)
    first = Queue(labels).items(1)[0]
    assert first.object_id == 3 and abs(first.frame - 25) <= 1
    assert SIGNALS["switch"] in first.reason


def test_tracks_whose_class_is_disputed_come_first(tmp_path: Path) -> None:
    frame, track = rows()
    kinds = np.where((track == 1) & (frame % 5 < 2), 1, 0)
    labels = drive(tmp_path / "a.zarr", frame, track, class_id=kinds.astype(np.int16))
    queue = Queue(labels)
    first = queue.items(1)[0]
    assert first.object_id == 2
    assert "detections are split between car and pedestrian" in first.reason
    labels.commit([e.SetClass(object_id=2, class_name="car")], author="ann")
    assert all("split" not in item.reason for item in queue.items(20))


def test_votes_count_by_their_square() -> None:
    assert votes_split(np.array([0, 0, 0, -1]), 0) == (0.0, 0)
    share, rival = votes_split(np.array([0, 0, 0, 2, -1]), 0)
    assert (share, rival) == (pytest.approx(0.1), 2)
    assert votes_split(np.array([0, 2]), 2) == (0.5, 0)


def test_boxes_in_pictures_that_no_cuboid_fits_are_doubted(labels: Labels) -> None:
    """A cuboid that is moved off its picture is doubted, and so is the picture's box."""
    base = labels.base
    evidence = Evidence(base)
    column = list(SIGNALS).index("alone")
    for camera in ("", "front"):
        view = View(evidence, camera)
        signals = view.signals(np.arange(len(view.table)), view.table.track_id)
        assert signals.shape == (len(view.table), len(SIGNALS))
        assert np.isfinite(signals).all()
        assert signals[:, column].max() == 0.0
    solid = base.frames3d(0, base.n_frames)
    away = solid.center_m + np.where(solid.track_id == 1, 6.0, 0.0)[:, None] * [0.0, -1.0, 0.0]
    flat = {camera: base.frames2d(camera, 0, base.n_frames) for camera in base.cameras}
    labels.store.write_labels(
        "moved", flat, solid.replace(center_m=away), class_names=base.class_names, provenance={}
    )
    moved = Evidence(Labels.open(SequenceStore.open(labels.store.root), "moved").base)
    for camera in ("", "front"):
        view = View(moved, camera)
        alone = view.signals(np.arange(len(view.table)), view.table.track_id)[:, column]
        assert alone[view.table.track_id == 1].mean() > 0.5
        assert alone[view.table.track_id != 1].max() == 0.0


# --- what people do ---------------------------------------------------------------------------------------------------


def test_what_was_found_good_is_not_asked_again_and_says_something_of_what_is_around(tmp_path: Path) -> None:
    labels = drive(tmp_path / "a.zarr", *rows())
    queue = Queue(labels)
    seen = set()
    before = queue.progress
    for _ in range(12):
        item = queue.items(1)[0]
        assert (item.object_id, item.frame) not in seen
        seen.add((item.object_id, item.frame))
        labels.commit([accept(item)], author="ann")
    after = queue.progress
    assert (after.looked_at, after.boxes) == (12, before.boxes)
    assert after.expected_wrong < 0.6 * before.expected_wrong


def test_a_range_that_was_accepted_is_out_of_the_queue(tmp_path: Path) -> None:
    labels = drive(tmp_path / "a.zarr", *rows())
    queue = Queue(labels, config=QueueConfig(bad_share=0.0))
    labels.commit([e.Accept(object_id=2, start=10, stop=50), e.Accept(object_id=1)], author="ann")
    items = queue.items(1000)
    assert not [item for item in items if item.object_id == 1]
    assert not [item for item in items if item.object_id == 2 and 10 <= item.frame < 50]
    assert queue.progress.looked_at == 100
    labels.undo("ann")
    assert queue.progress.looked_at == 0


def test_a_correction_mends_what_is_around(tmp_path: Path) -> None:
    labels = drive(tmp_path / "a.zarr", *rows())
    queue = Queue(labels)
    before = queue._tracks[2, ""].now.wrong
    labels.commit(
        [e.SetKeyframe3D(object_id=2, frame=30, center_m=(14.0, 12.5, 0.8), yaw_rad=0.0)], author="ann"
    )
    queue.items(1)
    after = queue._tracks[2, ""].now.wrong
    assert after[30] == 0.0
    # That it had to be corrected speaks against the boxes around, that it was corrected for them.
    assert after[28] < 1.5 * before[28] + 0.5


def test_only_touched_tracks_are_ranked_anew(tmp_path: Path) -> None:
    labels = drive(tmp_path / "a.zarr", *rows())
    queue = Queue(labels)
    queue.items(1)
    before = dict(queue._tracks)
    labels.commit([e.Accept(object_id=2, start=3, stop=4)], author="ann")
    queue.items(1)
    assert [key for key in before if queue._tracks[key] is not before[key]] == [(2, "")]


def test_it_is_the_same_however_it_came_about(labels: Labels) -> None:
    """A queue that followed every edit, and one that is opened afterwards."""
    queue = Queue(labels)
    for edit in (
        e.Split(object_id=1, frame=10, new_id=labels.new_id()),
        e.Merge(object_id=2, other_id=3),
        e.DeleteObject(object_id=4),
        e.SetKeyframe3D(object_id=5, frame=4, center_m=(10.0, 8.0, 0.8), yaw_rad=0.0),
        e.SetAbsent(object_id=5, start=8, stop=10),
        e.Accept(object_id=1, start=2, stop=5),
    ):
        labels.commit([edit], author="ann")
        queue.items(1)
    afresh = Queue(open_labels(labels.store.root))
    assert queue.items(1000) == afresh.items(1000)
    assert queue.progress == afresh.progress
    shown = {i.object_id for i in queue.items(1000)}
    assert 3 not in shown and 4 not in shown and max(shown) > 1000
    labels.revert(4, author="bob")
    assert queue.items(1000) == Queue(open_labels(labels.store.root)).items(1000)


def test_items_have_a_box(labels: Labels) -> None:
    labels.commit([e.TrimEnd(object_id=1, frame=9)], author="ann")
    for item in Queue(labels, config=QueueConfig(bad_share=0.0)).items(1000):
        boxes = labels.now.boxes(item.object_id)
        shown = boxes.pictures[item.camera] if item.camera else boxes.cuboids
        assert item.frame in shown.frame


def test_an_object_that_people_made_is_in_the_queue_too(labels: Labels) -> None:
    new_id = labels.new_id()
    size = (4.0, 1.8, 1.5)
    keys = [
        e.SetKeyframe3D(
            object_id=new_id, frame=f, center_m=(12.0 + f, 3.0, 0.8), yaw_rad=0.0, size_lwh_m=size
        )
        for f in (0, 18)
    ]
    labels.commit([e.CreateObject(object_id=new_id, class_name="car"), *keys], author="ann")
    frames = [i.frame for i in Queue(labels, views=("",)).items(1000) if i.object_id == new_id]
    assert frames and not {0, 18} & set(frames)


def test_escalated_objects_wait_for_somebody_else(labels: Labels) -> None:
    queue = Queue(labels)
    labels.commit([e.Escalate(object_id=1, text="what is this?", frame=3)], author="ann")
    assert 1 not in {item.object_id for item in queue.items(1000)}
    assert queue.progress.escalated == (1,)
    labels.commit([e.Settle(object_id=1, text="what is this?", frame=3)], author="bob")
    assert 1 in {item.object_id for item in queue.items(1000)}


def test_it_is_done_when_everything_was_looked_at(labels: Labels) -> None:
    queue = Queue(labels)
    looks = 0
    while not queue.is_done:
        labels.commit([accept(queue.items(1)[0])], author="ann")
        looks += 1
    assert 0 < looks < 100  # far fewer than there are boxes
    labels.commit([e.Accept(object_id=int(i)) for i in labels.now.object_ids], author="ann")
    assert queue.items(5) == [] and queue.progress.expected_wrong == 0.0


def test_a_class_of_few_boxes_is_not_done_because_others_are(tmp_path: Path) -> None:
    frame, track = rows(10)
    rare = track == 9
    walker = NAMES.index("pedestrian")
    size = np.where(rare[:, None], [0.8, 0.6, 1.7], [4.0, 1.8, 1.5])
    score = np.where(rare, 0.3, 0.99).astype(np.float32)
    kind = np.where(rare, walker, 0).astype(np.int16)
    cars = Queue(drive(tmp_path / "cars.zarr", frame[~rare], track[~rare])).progress.share
    labels = drive(tmp_path / "all.zarr", frame, track, class_id=kind, score=score, size_lwh_m=size)
    queue = Queue(labels, config=QueueConfig(bad_share=1.5 * Queue(labels).progress.share))
    assert cars < queue.progress.share < queue.config.bad_share
    assert not queue.is_done
    looks = 0
    while not queue.is_done:
        item = queue.items(1)[0]
        assert item.object_id == 10
        labels.commit([accept(item)], author="ann")
        looks += 1
    assert 0 < looks <= FRAMES


def test_another_base_version_is_ranked_from_the_start(labels: Labels) -> None:
    queue = Queue(labels)
    labels.commit([e.Accept(object_id=1)], author="ann")
    solid = labels.base.frames3d(0, 20)
    labels.store.write_labels("newer", {}, solid, class_names=labels.base.class_names, provenance={})
    queue.items(1)
    labels.rebase_onto("newer", author="ann")
    assert queue.items(50) == Queue(open_labels(labels.store.root)).items(50)
    assert {item.camera for item in queue.items(50)} == {""}


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_gains_are_what_a_loop_over_pairs_gives() -> None:
    rng = np.random.default_rng(0)
    p, time_s = rng.uniform(0, 0.9, 30), np.sort(rng.uniform(0, 4, 30))
    group = np.repeat([0, 1], [12, 18])
    reach = Reach()
    expected = p.copy()
    for i in range(30):
        for j in range(30):
            if i == j or group[i] != group[j]:
                continue
            apart = np.array(abs(time_s[i] - time_s[j]))
            rho = float(reach.rho(apart))
            both = rho * min(p[i], p[j]) + (1 - rho) * p[i] * p[j]
            expected[i] += reach.mended(apart) * both - reach.harmed * (p[i] - both)
    np.testing.assert_allclose(gains(p, time_s, group, reach), np.maximum(expected, p))


def test_looks_leave_probabilities_and_what_was_looked_at_is_right() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        p, time_s = rng.uniform(0, 1, 20), np.arange(20) * 0.1
        keys, accepted = rng.random(20) < 0.15, rng.random(20) < 0.3
        after = after_looks(p, time_s, keys, accepted, Reach())
        assert ((after >= 0.0) & (after <= 1.0)).all()
        assert (after[keys | accepted] == 0.0).all()


def test_the_rarer_a_look_costs_time_the_higher_it_ranks(labels: Labels) -> None:
    quick = Queue(labels, config=QueueConfig(look_s=0.6)).items(1)[0]
    slow = Queue(labels, config=QueueConfig(look_s=6.0)).items(1)[0]
    assert quick.score > slow.score and quick.seconds < slow.seconds


def test_stricter_overlap_means_more_work(labels: Labels) -> None:
    shares = [Queue(labels, iou=iou).progress.share for iou in (0.7, 0.8, 0.9)]
    assert shares == sorted(shares) and shares[0] < shares[2]


# --- several people, several sequences --------------------------------------------------------------------------------


def test_two_people_are_sent_to_two_places(labels: Labels) -> None:
    other = open_labels(labels.store.root)
    ann, bob = (next_items([Queue(one)], name, 2) for one, name in ((labels, "ann"), (other, "bob")))
    assert ann and bob and not {i.object_id for i in ann} & {i.object_id for i in bob}
    assert next_items([Queue(labels)], "ann", 2) == ann  # asking again leads nowhere else
    held = {lease.object_id: lease.person for lease in Leases(labels.store).held()}
    assert held == {**{i.object_id: "ann" for i in ann}, **{i.object_id: "bob" for i in bob}}
    assert verify(labels.store) == []


def test_leases_end(labels: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(labels.store, lasts_s=60.0)
    assert leases.take(1, "ann") and not leases.take(1, "bob") and leases.take(2, "bob")
    with pytest.raises(UsageError, match="say who you are"):
        leases.take(3, " ")
    later = time.time_ns() + int(61e9)
    with monkeypatch.context() as patched:
        patched.setattr("time.time_ns", lambda: later)
        assert leases.held() == [] and leases.take(1, "bob")
    leases.give_back("bob")
    assert [lease.person for lease in leases.held()] in ([], ["ann"])


def test_a_damaged_file_of_leases_holds_up_nobody(labels: Labels) -> None:
    leases = Leases(labels.store)
    leases.take(1, "ann")
    for content in (b"", b"[[1", b"{}", b'[["a"]]', b"[1]"):
        (labels.store.root / "journal" / "leases.json").write_bytes(content)
        assert leases.held() == []
        assert leases.take(1, "bob")


def test_processes_that_ask_at_once_never_get_the_same(labels: Labels, processes: ForkServerContext) -> None:
    with ProcessPoolExecutor(3, mp_context=processes) as pool:
        taken = pool.map(take_leases, repeat(labels.store.root), ("ann", "bob", "eve"))
    every = [object_id for mine in taken for object_id in mine]
    assert sorted(every) == list(range(1, 31))
    assert sorted(lease.object_id for lease in Leases(labels.store).held()) == sorted(every)


def test_sequences_are_ranked_together(tmp_path: Path) -> None:
    frame, track = rows(2)
    worse = drive(tmp_path / "a.zarr", frame, track, score=np.full(len(frame), 0.2, np.float32))
    better = drive(tmp_path / "b.zarr", frame, track)
    queues = [Queue(better), Queue(worse)]
    ranked = [(queue, item.score) for queue, item in ranked_together(queues)]
    assert ranked[0][0] is queues[1] and {id(queue) for queue, _ in ranked} == {id(queue) for queue in queues}
    together = len(queues[0].items(10_000)) + len(queues[1].items(10_000))
    assert len(ranked) == together
