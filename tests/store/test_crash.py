"""Writers that are killed: what was told to be written is there, nothing else shows, and the work can be resumed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from itertools import count
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.model.errors import ScratchTakenError, StoreError
from fleetlabel.store import Part, SequenceStore, describe, durable, verify
from fleetlabel.store.arrays import write_arrays
from store.drives import (
    assert_same_part,
    drive,
    hold_lock,
    leftovers,
    pictures,
    sweeps,
    try_lock,
    write_missing,
)

FRAMES, CHUNK = 200, 4


def whole_table() -> Part:
    part = sweeps(FRAMES, mean_points=100)
    return Part(part.samples, part.counts, part.flat)


def kill_and_resume(root: Path, processes: ForkServerContext, kills: int, seed: int) -> tuple[int, int]:
    """Lets writers fill a new store, kills each at a random moment, and checks the store each time.

    Returns how many writers died of it, ``kills`` at most, and how many of them left half a part behind.
    """
    rng, whole = np.random.default_rng(seed), whole_table()
    store = SequenceStore.create(root, drive(FRAMES))
    table = store.sensor_table("top")
    killed = torn = 0
    while not table.is_complete():
        mine, theirs = processes.Pipe(duplex=False)
        chunk = int(rng.integers(1, 2 * CHUNK))  # a resumed run may cut differently
        writer = processes.Process(target=write_missing, args=(root, table.path, whole, chunk, theirs))
        writer.start()
        theirs.close()
        assert mine.recv() == "ready"
        if killed < kills:
            time.sleep(rng.uniform(0, 0.06))
            writer.kill()
        written = []
        while True:
            try:
                written.append(mine.recv())
            except EOFError:
                break
        writer.join()
        killed += writer.exitcode == -signal.SIGKILL  # others were done before
        assert set(written) <= set(table.ranges()), "a part that was told to be written is gone"
        for start, stop in written:
            assert_same_part(table.read(start, stop), whole.take(start, stop))
        torn += bool(leftovers(root))
        with store.writer_lock():
            store.clean()
        assert leftovers(root) == []
        assert verify(store) == []
    return killed, torn


def check_killed_writers(folder: Path, processes: ForkServerContext, kills: int, seed: int) -> None:
    """As many stores as it takes to kill so many writers, at least one in the middle of a part; all end the same."""
    expected = undisturbed(folder / "whole")
    killed = torn = 0
    for number in count():
        root = folder / f"killed-{number}"
        died, left = kill_and_resume(root, processes, max(kills - killed, 1), seed + 1000 * number)
        assert describe(SequenceStore.open(root)).content_hash == expected
        killed, torn = killed + died, torn + left
        if killed >= kills and torn:
            break


def undisturbed(root: Path) -> str:
    store = SequenceStore.create(root, drive(FRAMES))
    store.sensor_table("top").write(0, whole_table())
    return describe(store).content_hash


def test_killed_writers(tmp_path: Path, processes: ForkServerContext) -> None:
    check_killed_writers(tmp_path, processes, kills=10, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_writers_many_times(tmp_path: Path, processes: ForkServerContext, seed: int) -> None:
    check_killed_writers(tmp_path, processes, kills=12, seed=seed)


def test_writers_that_are_taken_for_dead_lose_nothing(store: SequenceStore) -> None:
    """A driver that takes over clears scratch away while workers of the one before still commit."""
    root = store.root.with_name("busy")
    store, whole = SequenceStore.create(root, drive(FRAMES)), whole_table()
    table, done, rng = store.sensor_table("top"), threading.Event(), np.random.default_rng(0)

    def clear() -> None:
        while not done.wait(rng.exponential(0.1)):
            store.clean()

    cleaner = threading.Thread(target=clear)
    cleaner.start()
    try:
        for start in range(0, FRAMES, CHUNK):
            table.write(start, whole.take(start, start + CHUNK))
    finally:
        done.set()
        cleaner.join()
    assert_same_part(table.read(), whole)
    assert verify(store) == []
    assert leftovers(root) == []


def test_what_is_left_of_a_part_that_is_cleared_away_is_not_committed(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = store.sensor_table("top").part_folder(0, CHUNK)
    writer = durable.committed_folder(target, lambda: True)
    (writer.__enter__() / "arrays").write_text("all of them")
    rmtree = shutil.rmtree

    def while_the_writer_commits(path: Path, **options: object) -> None:
        monkeypatch.setattr("shutil.rmtree", rmtree)
        with pytest.raises(ScratchTakenError, match="was cleared away while it was written"):
            writer.__exit__(None, None, None)
        rmtree(path, **options)

    monkeypatch.setattr("shutil.rmtree", while_the_writer_commits)
    store.clean()
    assert shutil.rmtree is rmtree
    assert not target.exists()
    assert leftovers(store.root) == []


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_part_whose_scratch_is_cleared_away_is_written_again(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    table, whole, calls = store.sensor_table("top"), sweeps(), count()

    def cleared_away(scratch: Path, arrays: dict[str, np.ndarray], **options: bool) -> None:
        write_arrays(scratch, arrays, **options)
        if next(calls) < 2:
            store.clean()
            if goes_on:  # arrays make the folders anew that they need
                write_arrays(scratch, {"counts": arrays["counts"]}, **options)

    monkeypatch.setattr("fleetlabel.store.table.write_arrays", cleared_away)
    table.write(0, whole)
    assert next(calls) == 3
    assert_same_part(table.read(), whole)
    assert verify(store) == []
    assert leftovers(store.root) == []


def test_one_driver_at_a_time(store: SequenceStore, processes: ForkServerContext) -> None:
    mine, theirs = processes.Pipe()
    holder = processes.Process(target=hold_lock, args=(store.root, theirs))
    holder.start()
    assert mine.recv() == "held"
    with (
        pytest.raises(
            StoreError, match=rf"written by another process \(pid {holder.pid}\); wait for it or stop it"
        ),
        store.writer_lock(),
    ):
        pass
    answer, asked = processes.Pipe(duplex=False)
    processes.Process(target=try_lock, args=(store.root, asked)).start()
    assert f"pid {holder.pid}" in answer.recv()
    assert verify(store) == []  # readers need no lock
    mine.send("let go")
    assert mine.recv() == "released"
    with store.writer_lock():
        pass


def test_the_lock_dies_with_its_holder(store: SequenceStore, processes: ForkServerContext) -> None:
    for _ in range(2):
        mine, theirs = processes.Pipe()
        holder = processes.Process(target=hold_lock, args=(store.root, theirs))
        holder.start()
        assert mine.recv() == "held"
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    with store.writer_lock():
        store.sensor_table("front").write(0, pictures())
    assert not (store.root / ".writer.lock").exists()


def test_the_lock_is_let_go_when_the_work_fails(store: SequenceStore) -> None:
    with pytest.raises(ZeroDivisionError), store.writer_lock():
        _ = 1 / 0
    with store.writer_lock(), pytest.raises(StoreError), store.writer_lock():
        pass
    with store.writer_lock():
        pass
