"""Where drives go: never parted, by shares, by seed, and for good."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.engine.release.splits import Grouped, assign, parse_shares
from fleetlabel.model.errors import UsageError

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


@st.composite
def fleets(draw: st.DrawFn, most: int = 30) -> list[Grouped]:
    """Drives in groups that are named after one of them."""
    groups = draw(st.lists(st.integers(0, 12), min_size=1, max_size=most))
    first: dict[int, str] = {}
    drives = []
    for row, group in enumerate(groups):
        name = f"drive-{row:02d}"
        drives.append(Grouped(name, first.setdefault(group, name), draw(st.integers(1, 500))))
    return drives


@given(drives=fleets(), seed=st.integers(0, 3), order=st.randoms())
@settings(max_examples=100, deadline=None)
def test_groups_are_never_parted_and_the_order_of_drives_says_nothing(
    drives: list[Grouped], seed: int, order: random.Random
) -> None:
    found, moved = assign(drives, SHARES, seed, {})
    assert set(found) == {drive.name for drive in drives}
    assert not moved
    by_group = defaultdict(set)
    for drive in drives:
        by_group[drive.group].add(found[drive.name])
    assert all(len(splits) == 1 for splits in by_group.values())
    order.shuffle(drives)
    assert assign(drives, SHARES, seed, {})[0] == found


@given(drives=fleets(), seed=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_shares_are_met_to_within_the_largest_group(drives: list[Grouped], seed: int) -> None:
    found, _ = assign(drives, SHARES, seed, {})
    total = sum(drive.frames for drive in drives)
    sizes: dict[str, int] = defaultdict(int)
    for drive in drives:
        sizes[drive.group] += drive.frames
    for split, share in SHARES.items():
        frames = sum(drive.frames for drive in drives if found[drive.name] == split)
        assert abs(frames - share * total) <= max(sizes.values())


@given(data=st.data(), drives=fleets(), seed=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_a_new_drive_moves_no_other_unless_it_joins_groups(
    data: st.DataObject, drives: list[Grouped], seed: int
) -> None:
    earlier, _ = assign(drives, SHARES, seed, {})
    groups = sorted({drive.group for drive in drives})
    touched = set(data.draw(st.lists(st.sampled_from(groups), max_size=3, unique=True)))
    # The newcomer may be the earliest of its group, which is then called after it.
    name = data.draw(st.sampled_from(["a-first", "z-last"]))
    joined = name if name < "drive" or not touched else min(touched)
    now = [
        Grouped(drive.name, joined if drive.group in touched else drive.group, drive.frames)
        for drive in drives
    ]
    found, moved = assign([*now, Grouped(name, joined, 50)], SHARES, seed + 1, earlier)
    before = {earlier[drive.name] for drive in drives if drive.group in touched}
    changed = {drive.name for drive in drives if found[drive.name] != earlier[drive.name]}
    assert changed == {one.drive for one in moved}
    if len(before) <= 1:
        assert not changed
        if before:
            assert found[name] in before
    else:
        members = {drive.name for drive in drives if drive.group in touched}
        first = next(split for split in SHARES if split in before)
        assert changed == {drive for drive in members if earlier[drive] != first}
        assert all(one.now == first and name in one.because for one in moved), (
            "what was trained on is no test"
        )


def test_three_drives_fill_what_they_can() -> None:
    drives = [Grouped(f"{row}", f"{row}", 100) for row in range(10)]
    found, _ = assign(drives, {"train": 0.8, "val": 0.1, "test": 0.1}, 0, {})
    assert sorted(found.values()) == ["test", "train", *["train"] * 7, "val"]
    assert assign(drives, {"train": 0.8, "val": 0.1, "test": 0.1}, 1, {})[0] != found, "the seed draws"


def test_drives_that_are_in_no_release_join_others() -> None:
    apart = [Grouped("a", "a", 10), Grouped("b", "b", 10)]
    earlier = {"a": "test", "b": "train"}
    bridge = [Grouped("a", "a", 10), Grouped("b", "a", 10), Grouped("bridge", "a", 0)]
    assert assign(apart, SHARES, 0, earlier)[0] == earlier
    found, moved = assign(bridge, SHARES, 0, earlier)
    assert found == {"a": "train", "b": "train"}
    assert [(one.drive, one.was, one.now, one.because) for one in moved] == [
        ("a", "test", "train", "bridge joins its place to that of b")
    ]


def test_an_earlier_split_that_is_gone() -> None:
    with pytest.raises(UsageError, match="'holdout', which is none of train, val, test"):
        assign([Grouped("a", "a", 1)], SHARES, 0, {"a": "holdout"})


@pytest.mark.parametrize(
    "texts", [["train"], ["train=2"], ["train=0.5", "train=0.5"], ["a/b=1"], ["train=0.9"], ["x=nan"]]
)
def test_shares_that_make_no_sense(texts: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--split|sum up"):
        parse_shares(texts)
    assert parse_shares(["train=0.9", "test=0.1"]) == {"train": 0.9, "test": 0.1}
