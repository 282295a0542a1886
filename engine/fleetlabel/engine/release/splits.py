"""Which split a drive belongs to: by place and drive, drawn by a seed, and for good.

Drives that must not be parted are a group. What an earlier release has put somewhere stays there. New groups are drawn
in the order of a hash of the seed and their name, and fill what each split lacks of its share of all frames: so shares
are met as closely as groups allow, also by a few drives.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleetlabel.model.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Grouped:
    """A drive that may be in a release.

    Attributes:
        name: of the drive.
        group: what it must not be parted from, by the name of one of them.
        frames: that it has in the release; 0 if it is not in it, but joins others.
    """

    name: str
    group: str
    frames: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A drive that an earlier release had in another split."""

    drive: str
    was: str
    now: str
    because: str


def parse_shares(texts: Sequence[str]) -> dict[str, float]:
    """``train=0.8`` and others as shares by split, which sum up to 1; in their order.

    Raises:
        UsageError: they are no such texts.
    """
    shares: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not _NAME.fullmatch(name) or not 0 < share <= 1 or name in shares:
            raise UsageError(
                f"--split {text!r} is no split of its own with a share from 0 to 1; write for example "
                "--split train=0.8 --split val=0.1 --split test=0.1"
            )
        shares[name] = share
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"the shares of {', '.join(shares)} sum up to {sum(shares.values()):g}, not to 1")
    return shares


def assign(
    drives: Sequence[Grouped], shares: Mapping[str, float], seed: int, earlier: Mapping[str, str]
) -> tuple[dict[str, str], list[Moved]]:
    """Split by drive that is in the release, and drives that had to move.

    A group whose drives were in several splits, since a new drive joins their places, goes where the first of these
    splits is in the order of ``shares``: what was trained on never becomes a test, neither for new nor for old models.

    Args:
        earlier: split by drive, of earlier releases.

    Raises:
        UsageError: an earlier release has a split that is none of ``shares``.
    """
    groups: dict[str, list[Grouped]] = defaultdict(list)
    for drive in sorted(drives, key=lambda drive: drive.name):
        groups[drive.group].append(drive)
    splits: dict[str, str] = {}
    have = dict.fromkeys(shares, 0)
    fresh: list[tuple[bytes, str, int]] = []
    for group, members in groups.items():
        frames = sum(drive.frames for drive in members)
        known = {earlier[drive.name] for drive in members if drive.name in earlier}
        if known - set(shares):
            raise UsageError(
                f"an earlier release has a split {min(known - set(shares))!r}, which is none of {', '.join(shares)}; "
                "name it with --split, or draw all drives anew with --anew"
            )
        if known:
            splits[group] = next(name for name in shares if name in known)
            have[splits[group]] += frames
        elif frames:
            fresh.append((hashlib.sha256(f"{seed} {group}".encode()).digest(), group, frames))
    splits |= _drawn(sorted(fresh), shares, have)
    found = {drive.name: splits[drive.group] for drive in drives if drive.frames}
    moved = [
        Moved(name, earlier[name], split, _joining(groups, name, earlier))
        for name, split in sorted(found.items())
        if earlier.get(name, split) != split
    ]
    return found, moved


def _drawn(
    fresh: Sequence[tuple[bytes, str, int]], shares: Mapping[str, float], have: Mapping[str, int]
) -> dict[str, str]:
    """Splits of new groups: their frames, one after the other, are cut in the proportion of what splits lack."""
    new = sum(frames for _, _, frames in fresh)
    total = new + sum(have.values())
    lacking = {name: max(0.0, share * total - have[name]) for name, share in shares.items()}
    scale = sum(lacking.values())
    names, splits, done = list(shares), {}, 0
    for _, group, frames in fresh:
        at, row = scale * (done + frames / 2) / new, 0
        while row < len(names) - 1 and at >= lacking[names[row]]:
            at -= lacking[names[row]]
            row += 1
        splits[group] = names[row]
        done += frames
    return splits


def _joining(groups: Mapping[str, Sequence[Grouped]], name: str, earlier: Mapping[str, str]) -> str:
    """Which drives brought it together with those of another split, in words."""
    members = next(drives for drives in groups.values() if any(drive.name == name for drive in drives))
    new = [drive.name for drive in members if drive.name not in earlier]
    others = [
        drive.name for drive in members if drive.name in earlier and earlier[drive.name] != earlier[name]
    ]
    by = f"{', '.join(new[:3])}{', ...' if new[3:] else ''} joins" if new else "now joined with"
    return (
        f"{by} {'its place to that of ' if new else ''}{', '.join(others[:3])}{', ...' if others[3:] else ''}"
    )
