"""How many corrections a track needs: straight lines between keyframes, every box by hand, and FleetLabel.

    python benchmarks/keyframes.py --data DIR --task 3d --cls Car --iou 0.8 [--noise] [--json FILE]

``DIR`` is laid out like KITTI tracking with others' detections, or holds drives with pictures and truth, such as
``fleetlabel synth`` makes. For each of the truth's tracks of 10 frames or more, actions are counted until the labels
overlap with the truth by ``--iou`` at every frame of it: setting a box (which draws the object if there is none, and
sets a cuboid's size), or taking in a piece that the tracker took for another object and that shows this one at three
wrong frames or more. What is labelled at frames where the truth has no box is not looked at.

linear: from nothing; the first frame, the last, and then the worst one, straight lines in the world between them.
dense: the pre-labels, every wrong or missing box set by hand. oracle: the pre-labels, the worst frame set, the track
solved anew. queue: the same, but at the frames that FleetLabel's queue says, inspections counted, until it says that
it is done.

``--noise``: boxes are set with an error of 0.1 m and 3 degrees (1.5 px), and 3 of 100 a metre (15 px) off; an action
takes 4.0 s (look 1.2, key 0.3, drag 2.5). Seconds are those until a track is as good as the worse of the two ways in
the end makes it. With ``--json FILE.json``, curves are drawn into ``FILE.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import Labels
from fleetlabel.store import SequenceStore
from keyframes_annotator import Hand, Work, with_oracle, with_straight_lines
from keyframes_curves import draw
from keyframes_drives import Drive, drives
from keyframes_queue import Guided, with_queue

SEED = 20_240_601


@dataclass(slots=True)
class Tally:
    """What everybody did, track by track."""

    linear: list[Work] = field(default_factory=list)
    oracle: list[Work] = field(default_factory=list)
    queue: list[Work] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    inspections: int = 0
    wrong_first: list[float] = field(default_factory=list)

    def add(self, drive: Drive, iou: float, hand: Hand, with_the_queue: bool) -> None:
        """One drive."""
        with opened(drive) as labels:
            for truth in drive.truth:
                self.linear.append(with_straight_lines(truth, iou, hand))
                self.oracle.append(with_oracle(labels, truth, iou, hand))
                self.lengths.append(len(truth.frame))
        if not with_the_queue or not drive.truth:
            return
        with opened(drive) as labels:
            guided: Guided = with_queue(labels, drive.truth, iou, hand)
        self.queue += guided.work
        self.inspections += guided.inspections
        self.wrong_first.append(float(np.mean(guided.wrong_first or [0.0])))


@contextmanager
def opened(drive: Drive) -> Iterator[Labels]:
    """Labels of a copy of a drive's store that nobody has edited."""
    with tempfile.TemporaryDirectory(dir=drive.store.root.parent) as folder:
        root = Path(folder) / drive.store.root.name
        shutil.copytree(drive.store.root, root, copy_function=os.link)
        yield Labels.open(SequenceStore.open(root), drive.labels)


def report(tally: Tally, iou: float, noise: bool) -> dict[str, float]:
    """The numbers, by name."""
    linear, oracle = _actions(tally.linear), _actions(tally.oracle)
    lengths = np.array(tally.lengths)
    untouched = np.array([work.good_share[0] for work in tally.oracle])
    found: dict[str, float] = {"tracks": len(linear)}
    for name, actions in (("linear", linear), ("oracle", oracle)):
        found |= {f"{name}_mean": actions.mean(), f"{name}_median": float(np.median(actions))}
        found[f"{name}_p90"] = float(np.quantile(actions, 0.9))
    found["oracle_unlabelled_mean"] = float(np.mean([work.unlabelled for work in tally.oracle]))
    found["dense_mean"] = float(((1.0 - untouched) * lengths).mean())
    found["untouched_share"] = float((oracle == 0).mean())
    found["worse_than_linear"] = float((oracle > linear).mean())
    found["worse_than_linear_by"] = float(max((oracle - linear).max(), 0))
    if tally.queue:
        found["queue_mean"] = _actions(tally.queue).mean()
        found["queue_inspections_mean"] = tally.inspections / len(linear)
        bad = sum(float((work.overlap < iou).sum()) for work in tally.queue)
        found["queue_residual_bad_share"] = bad / lengths.sum()
        found["queue_first_100_wrong_share"] = float(np.mean(tally.wrong_first))
    if noise:
        found |= _seconds(tally.linear, tally.oracle)
    return {name: round(float(value), 4) for name, value in found.items()}


def _actions(work: Sequence[Work]) -> F64:
    return np.array([each.actions for each in work], dtype=np.float64)


def _seconds(linear: Sequence[Work], oracle: Sequence[Work]) -> dict[str, float]:
    """Seconds per track until it is as good as both ways can make it."""
    totals, good = np.zeros(2), np.zeros(2)
    for pair in zip(linear, oracle, strict=True):
        enough = min(max(work.good_share) for work in pair)
        for way, work in enumerate(pair):
            reached = int(np.argmax(np.array(work.good_share) >= enough))
            totals[way] += work.seconds[reached]
            good[way] += work.good_share[-1]
    found = {f"{name}_seconds": totals[i] / len(linear) for i, name in enumerate(("linear", "oracle"))}
    found |= {
        f"{name}_final_good_share": good[i] / len(linear) for i, name in enumerate(("linear", "oracle"))
    }
    return found | {"seconds_share_of_linear": totals[1] / totals[0]}


def main() -> None:
    """Parse the command line, work on every drive, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="laid out like KITTI tracking, or drives")
    parser.add_argument("--task", choices=("2d", "3d"), required=True)
    parser.add_argument("--cls", required=True, help="class, as the truth calls it, for example Car")
    parser.add_argument("--iou", type=float, required=True, help="overlap from which a box is good, e.g. 0.8")
    parser.add_argument("--noise", action="store_true", help="an annotator who errs, and seconds")
    parser.add_argument("--json", type=Path, help="file for the numbers; curves are drawn beside it")
    parser.add_argument(
        "--work", type=Path, help="folder that keeps labelled drives (default: a temporary one)"
    )
    parser.add_argument("--sequences", nargs="*", help="only these; by default all")
    parser.add_argument("--no-queue", action="store_true", help="leave the queue out")
    args = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        for drive in drives(args.data, work, args.task, args.cls, args.sequences):
            hand = Hand(np.random.default_rng(SEED) if args.noise else None)
            tally.add(drive, args.iou, hand, not args.no_queue)
    if not tally.linear:
        raise SystemExit(
            f"{args.data} has no {args.cls} of ten frames or more; look at the truth's class names"
        )
    found = report(tally, args.iou, args.noise)
    for name, value in found.items():
        print(f"{name:>28} {value:.6g}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
        ways = {"straight lines": tally.linear, "re-solved, worst frame": tally.oracle}
        if tally.queue:
            ways["re-solved, queue"] = tally.queue
        title = f"{args.cls} {args.task}, IoU {args.iou:g}: share of good frames over corrections per track"
        draw(args.json.with_suffix(".png"), title, {name: curve(work) for name, work in ways.items()})


def curve(work: Sequence[Work], most: int = 20) -> list[float]:
    """Mean share of good frames of tracks after 0, 1, 2, ... actions on each."""
    shares = [each.good_share + each.good_share[-1:] * most for each in work]
    return [float(np.mean([share[count] for share in shares])) for count in range(most + 1)]


if __name__ == "__main__":
    main()
