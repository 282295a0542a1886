"""Print the tables of corrections per track, from ``results/keyframes_*.json`` as ``keyframes.py --json`` writes them.

    python benchmarks/keyframes_table.py [--write]

``--write`` puts them into README.md, between the two markers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "<!-- table: keyframes_table.py --write -->\n", "<!-- end of table -->\n"
TASKS, CLASSES, IOUS = ("3d", "2d"), ("Car", "Pedestrian"), ("0.7", "0.8", "0.9")
# Most corrections per track, or most of those with straight lines as a share of them.
MOST = {
    ("3d", "Car", "0.8"): 1.3,
    ("2d", "Car", "0.8"): 1.0,
    ("3d", "Car", "0.9"): 5.0,
    ("2d", "Car", "0.9"): 4.5,
}
MOST_SHARE = {("Pedestrian", "0.7"): 0.5}
MOST_SECONDS_SHARE = {"Car": 0.33, "Pedestrian": 0.5}


def main() -> None:
    """Make the tables; print them or write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="replace the tables in README.md")
    args = parser.parse_args()
    tables = "\n".join([*_corrections(), "", *_seconds()]) + "\n"
    if not args.write:
        print(tables, end="")
        return
    path = HERE / "README.md"
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + tables + END + rest.split(END, 1)[1])


def _corrections() -> Iterator[str]:
    yield (
        "| tracks, IoU | straight lines | re-solved | target | not labelled at all | untouched | worse than lines "
        "(by at most) | queue: corrections, looks | wrong when done |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for task, cls, iou, found in _results(""):
        linear, oracle = found["linear_mean"], found["oracle_mean"]
        most = MOST.get((task, cls, iou), MOST_SHARE.get((cls, iou), 1.0) * linear)
        met = "" if oracle <= most else ", **no**"
        queue = ("", "")
        if "queue_mean" in found:
            looks = found["queue_inspections_mean"]
            queue = (f"{found['queue_mean']:.2f}, {looks:.1f}", f"{found['queue_residual_bad_share']:.1%}")
        worse = f"{found['worse_than_linear']:.1%} ({found['worse_than_linear_by']:g})"
        yield (
            f"| {int(found['tracks'])} x {cls} {task}, {iou} | {linear:.2f} | {oracle:.2f} | <= {most:.2f}{met} | "
            f"{found['oracle_unlabelled_mean']:.2f} | {found['untouched_share']:.1%} | {worse} | {queue[0]} | "
            f"{queue[1]} |"
        )


def _seconds() -> Iterator[str]:
    yield "| tracks, IoU | straight lines, s | re-solved, s | share | target | good in the end: lines, re-solved |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for task, cls, iou, found in _results("_noise"):
        share, most = found["seconds_share_of_linear"], MOST_SECONDS_SHARE[cls]
        met = "" if share <= most else ", **no**"
        good = f"{found['linear_final_good_share']:.1%}, {found['oracle_final_good_share']:.1%}"
        yield (
            f"| {cls} {task}, {iou} | {found['linear_seconds']:.1f} | {found['oracle_seconds']:.1f} | {share:.2f} | "
            f"<= {most:.2f}{met} | {good} |"
        )


def _results(suffix: str) -> Iterator[tuple[str, str, str, dict[str, float]]]:
    for task in TASKS:
        for cls in CLASSES:
            for iou in IOUS:
                path = HERE / "results" / f"keyframes_{task}_{cls}_{iou}{suffix}.json"
                if path.exists():
                    yield task, cls, iou, json.loads(path.read_text())


if __name__ == "__main__":
    main()
