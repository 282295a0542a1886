"""Tables: whatever the parts and ranges, what is read is what was written."""

from __future__ import annotations

import threading
from itertools import pairwise
from multiprocessing.context import ForkServerContext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.model.errors import StoreError, StoreNotFoundError
from fleetlabel.store import Part, Quarantined, SequenceStore, Table, verify
from store.conftest import MakeStore
from store.drives import assert_same_columns, assert_same_part, leftovers, pictures, sweeps, write_range

N = 12


@st.composite
def ragged_parts(draw: st.DrawFn) -> Part:
    """Twelve samples with any number of rows each and columns of many kinds."""
    counts = np.array(draw(st.lists(st.integers(0, 5), min_size=N, max_size=N)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = int(counts.sum())
    flat = {
        "points": rng.normal(size=(rows, 4)).astype(np.float32),
        "jpeg": rng.integers(0, 256, rows).astype(np.uint8),
        "flag": rng.random(rows) < 0.5,
        "no_width": np.empty((rows, 0), np.float64),
        "grid": rng.integers(-9, 9, size=(rows, 2, 3)).astype(np.int16),
    }
    samples = {"time": rng.integers(-(2**62), 2**62, N), "pose": rng.normal(size=(N, 7))}
    chosen = draw(st.sets(st.sampled_from(sorted(flat))))
    return Part(samples, counts, {name: flat[name] for name in sorted(chosen)})


CUTS = st.sets(st.integers(1, N - 1), max_size=3).map(lambda cuts: [0, *sorted(cuts), N])


@settings(max_examples=25)
@given(ragged_parts(), CUTS, st.data())
def test_any_range_of_any_parts(
    fresh_store: MakeStore, whole: Part, cuts: list[int], data: st.DataObject
) -> None:
    with fresh_store(N) as store:
        table = store.declare_frames_table("sensors/front")
        ranges = list(pairwise(cuts))
        for start, stop in data.draw(st.permutations(ranges)):
            table.write(start, whole.take(start, stop))
        assert table.ranges() == ranges
        assert table.is_complete()
        assert_same_part(table.read(), whole)
        start = data.draw(st.integers(0, N - 1))
        stop = data.draw(st.integers(start + 1, N))
        assert_same_part(table.read(start, stop), whole.take(start, stop))
        assert verify(store) == []


@given(ragged_parts(), CUTS)
def test_parts_taken_apart_join_again(whole: Part, cuts: list[int]) -> None:
    parts = [whole.take(start, stop) for start, stop in pairwise(cuts)]
    joined = Part.concatenate(parts)
    assert_same_part(joined, whole)
    np.testing.assert_array_equal(np.concatenate([part.digests() for part in parts]), whole.digests())


@settings(max_examples=15)
@given(st.sets(st.integers(0, N - 1), max_size=4))
def test_missing_is_what_no_part_covers(fresh_store: MakeStore, committed: set[int]) -> None:
    with fresh_store(N) as store:
        table = store.declare_frames_table("sensors/front")
        for start in committed:
            table.write(start, pictures().take(start, start + 1))
        covered = {frame for start, stop in table.missing() for frame in range(start, stop)}
        assert covered == set(range(N)) - committed
        assert all(a[1] < b[0] for a, b in pairwise(table.missing()))


@pytest.fixture
def table(store: SequenceStore) -> Table:
    return store.sensor_table("front")


def test_only_the_columns_asked_for_are_read(table: Table) -> None:
    table.write(0, pictures())
    part = table.read(columns=("status",))
    assert_same_columns(part.samples, {"status": pictures().samples["status"]})
    assert part.flat == {}


def test_a_part_that_is_committed_is_not_written_again(table: Table) -> None:
    first = table.write(0, pictures(), provenance={"run": 1})
    again = table.write(0, pictures(seed=9), provenance={"run": 2})
    assert again == first
    assert_same_part(table.read(), pictures())


@pytest.mark.parametrize(("start", "stop"), [(0, 12), (3, 9), (5, 6), (0, 5), (7, 12)])
def test_parts_that_overlap_are_refused(table: Table, start: int, stop: int) -> None:
    table.write(4, pictures().take(4, 8))
    with pytest.raises(StoreError, match=rf"part {start}\.\.{stop} of sensors/front overlaps .* 4\.\.8"):
        table.write(start, pictures().take(start, stop))
    assert table.ranges() == [(4, 8)]


@pytest.mark.parametrize(("start", "length"), [(-1, 2), (11, 2), (12, 1), (3, 0)])
def test_parts_outside_the_table_or_empty_are_refused(table: Table, start: int, length: int) -> None:
    with pytest.raises(StoreError, match="empty or outside its 12 samples"):
        table.write(start, pictures().take(0, length))


def test_parts_with_other_columns_are_refused(table: Table) -> None:
    whole = pictures()
    table.write(0, whole.take(0, 6))
    rest = whole.take(6, 12)
    wider = Part(rest.samples, rest.counts, {**rest.flat, "extra": rest.flat["jpeg"]})
    narrower = Part({"status": rest.samples["status"]}, rest.counts, rest.flat)
    other_type = Part(
        rest.samples | {"status": rest.samples["status"].astype(np.int64)}, rest.counts, rest.flat
    )
    other_shape = Part(rest.samples, rest.counts, {"jpeg": rest.flat["jpeg"][:, None]})
    for part, name in (
        (wider, "extra"),
        (narrower, "timestamp_ns"),
        (other_type, "status"),
        (other_shape, "jpeg"),
    ):
        with pytest.raises(StoreError, match=f"other columns.*{name}"):
            table.write(6, part)
    table.write(
        6, Part(rest.samples, rest.counts, rest.flat, {"tracks": np.arange(3)})
    )  # a checkpoint is no column


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (5, 5), (6, 5), (0, 13), (12, 13)])
def test_ranges_that_are_none_are_refused(table: Table, start: int, stop: int) -> None:
    table.write(0, pictures())
    with pytest.raises(StoreNotFoundError, match=r"has samples 0\.\.12"):
        table.read(start, stop)


def test_samples_that_are_not_committed_are_named(table: Table) -> None:
    table.write(0, pictures().take(0, 4))
    table.write(6, pictures().take(6, 12))
    with pytest.raises(StoreNotFoundError, match=r"samples 4\.\.12 are not committed"):
        table.read()
    assert_same_part(table.read(7, 9), pictures().take(7, 9))


def test_checkpoints_come_back_for_the_task_that_goes_on(table: Table) -> None:
    state = {
        "tracks": np.random.default_rng(0).normal(size=(3, 8)),
        "next_id": np.array([7]),
        "none": np.empty((0, 4)),
    }
    part = pictures().take(0, 5)
    table.write(0, Part(part.samples, part.counts, part.flat, state))
    assert_same_columns(table.checkpoint(5), state)
    assert table.read(0, 5).state == {}
    with pytest.raises(StoreNotFoundError, match="no part ends at sample 4"):
        table.checkpoint(4)


def test_what_is_said_of_a_part_is_kept(table: Table) -> None:
    broken = [
        Quarantined(3, "front/03.jpg: truncated \N{PILE OF POO}"),
        Quarantined(4, "front/04.jpg: empty"),
    ]
    record = table.write(
        2, pictures().take(2, 7), provenance={"model": "a/b", "tiles": (2, 1)}, quarantined=broken
    )
    assert table.records() == [record]
    assert record.quarantined == tuple(broken)
    assert record.provenance == {"model": "a/b", "tiles": [2, 1]}
    assert record.rows == pictures().take(2, 7).counts.sum()


def test_a_table_of_no_samples_is_complete(store: SequenceStore) -> None:
    table = Table.declare(store.root, "runs/none", 0)
    assert table.is_complete()
    assert verify(store) == []


def test_no_rows_at_all(table: Table) -> None:
    nothing = Part(pictures().samples, np.zeros(N, np.int64), {"jpeg": np.empty(0, np.uint8)})
    table.write(0, nothing)
    assert_same_part(table.read(), nothing)


def test_declarations_must_agree(store: SequenceStore) -> None:
    first = store.declare_frames_table("runs/x/y/z", {"class_names": ("car",), "n": 1})
    again = store.declare_frames_table("runs/x/y/z", {"class_names": ["car"], "n": 1})
    assert again.attributes == first.attributes
    with pytest.raises(StoreError, match="was declared as"):
        store.declare_frames_table("runs/x/y/z", {"class_names": ["bus"], "n": 1})
    with pytest.raises(StoreNotFoundError, match="has no table runs/x/y"):
        store.table("runs/x/y")


@pytest.mark.parametrize("counts", [[1, -1], [1.0, 2.0], [[1], [2]]])
def test_counts_that_are_none_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="counts must be"):
        Part({}, np.array(counts))


def test_columns_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="sample column t has"):
        Part({"t": np.zeros(3)}, np.array([1, 2]))
    with pytest.raises(ValueError, match=r"flat column f has .*expected 3 rows"):
        Part({}, np.array([1, 2]), {"f": np.zeros(4)})


def test_content_beyond_one_chunk(table: Table) -> None:
    whole = pictures(mean_bytes=2_500_000)
    assert whole.flat["jpeg"].nbytes > 16 << 20
    table.write(0, whole)
    assert_same_part(table.read(3, 4), whole.take(3, 4))
    assert len(list((table.part_folder(0, 12) / "flat.jpeg" / "c").iterdir())) > 2


def test_work_does_not_grow_with_the_number_of_parts(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in range(11):
        table.write(start, pictures().take(start, start + 1))
    looked_at: list[tuple[int, int]] = []
    real = Table.record
    monkeypatch.setattr(Table, "record", lambda self, *part: looked_at.append(part) or real(self, *part))
    table.missing()
    assert looked_at == []
    table.read(5, 6)
    assert looked_at == [(5, 6)]
    table.write(11, pictures().take(11, 12))
    assert set(looked_at) == {(5, 6), (0, 1), (11, 12)}


@pytest.mark.parametrize("ranges", [[(0, 12), (0, 12), (0, 12)], [(0, 8), (4, 12), (6, 9)]])
def test_writers_at_the_same_time(
    store: SequenceStore, processes: ForkServerContext, ranges: list[tuple[int, int]]
) -> None:
    """The same part: all succeed and it is there once. Overlapping parts: one wins, the others are told."""
    store.sensor_table("top")
    ready = processes.Barrier(len(ranges))
    told = []
    for start, stop in ranges:
        mine, theirs = processes.Pipe(duplex=False)
        args = (store.root, "sensors/top", sweeps(), start, stop, ready, theirs)
        worker = processes.Process(target=write_range, args=args)
        worker.start()
        theirs.close()
        told.append((worker, mine))
    answers = [mine.recv() for _, mine in told]
    for worker, _ in told:
        worker.join()
    table = store.table("sensors/top")
    assert len(table.ranges()) == 1
    if len(set(ranges)) == 1:
        assert answers == [None] * len(ranges)
    else:
        assert answers.count(None) == 1
        assert all("overlaps" in answer for answer in answers if answer)
    start, stop = table.ranges()[0]
    assert_same_part(table.read(start, stop), sweeps().take(start, stop))
    assert verify(store) == []
    assert leftovers(store.root) == []


def test_threads_of_one_process_declare_and_write_at_the_same_time(store: SequenceStore) -> None:
    errors: list[Exception] = []

    def work(start: int) -> None:
        try:
            table = store.declare_frames_table("runs/detect/1/front", {"class_names": ["car"]})
            table.write(start, sweeps().take(start, start + 3))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 3, 6, 9, 0, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert_same_part(store.table("runs/detect/1/front").read(), sweeps())
    assert leftovers(store.root) == []
