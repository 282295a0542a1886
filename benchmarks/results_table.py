"""Print the table of measured numbers beside their targets, from ``results/*.json``.

    python benchmarks/results_table.py [--write]

``--write`` puts it into README.md, between the two markers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- table: results_table.py --write -->\n", "<!-- end of table -->\n"


def main() -> None:
    """Make the table; print it or write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="replace the table in README.md")
    args = parser.parse_args()
    lines = ["| what | measured | target | met |", "| --- | --- | --- | --- |"]
    for what, value, bound, low, high in goals():
        met = "yes" if low <= value <= high else "**no**"
        lines.append(f"| {what} | {value:,.4g} | {bound} | {met} |")
    table = "\n".join(lines) + "\n"
    if not args.write:
        print(table, end="")
        return
    path = HERE / "README.md"
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + table + END + rest.split(END, 1)[1])


def goals() -> list[tuple[str, float, str, float, float]]:
    """What, measured, target in words, least, most."""
    out = [*_scores(), *_speed()]
    for task in ("2d", "3d"):
        for cls in ("Car", "Pedestrian"):
            value = _results(f"tracking_{task}_{cls}_offline")["coverage_90"]
            out.append((f"{task} {cls} truth in 90 % intervals, %", value, "85-95", 85.0, 95.0))
    return out


def _scores() -> list[tuple[str, float, str, float, float]]:
    out = []
    for cls, online, offline in (("Car", 80.7, 81.7), ("Pedestrian", 54.2, 56.0)):
        now, later = _results(f"tracking_2d_{cls}_online"), _results(f"tracking_2d_{cls}_offline")
        peer = _results(f"bytetrack_{cls}")["ByteTrack"]["idsw"]
        out.append(_least(f"2d {cls} online HOTA", now["hota"], online))
        out.append(_most(f"2d {cls} online identity switches (ByteTrack: {peer})", now["idsw"], peer - 1))
        out.append(_least(f"2d {cls} offline HOTA", later["hota"], offline))
    car = _results("tracking_3d_Car_offline")
    poses = _results("tracking_3d_Car_offline_poses")
    out.append(_least("3d Car offline HOTA", car["hota"], 73.5))
    out.append(_most("3d Car offline identity switches", car["idsw"], 8))
    out.append(_least("3d Car offline HOTA with ego poses", poses["hota"], car["hota"]))
    out.append(_most("3d Car offline identity switches with ego poses", poses["idsw"], car["idsw"]))
    for cls in ("Car", "Pedestrian"):
        both = _results(f"ab3dmot_{cls}")
        for name in ("hota", "samota_0.25", "samota_0.5"):
            ours, theirs = both["fleetlabel"][name], both["AB3DMOT"][name]
            out.append(_least(f"3d {cls} online {name} (target: AB3DMOT's)", ours, round(theirs, 2)))
        switches = both["AB3DMOT"]["idsw"]
        out.append(
            _most(
                f"3d {cls} online identity switches (target: AB3DMOT's)", both["fleetlabel"]["idsw"], switches
            )
        )
    return out


def _speed() -> list[tuple[str, float, str, float, float]]:
    out = []
    for cls in ("Car", "Pedestrian"):
        both = _results(f"bytetrack_{cls}")
        times = both["fleetlabel update()"]["fps"] / both["ByteTrack"]["fps"]
        out.append(_least(f"2d {cls} frames/s, update() over ByteTrack", times, 2.0))
    scaling = _results("scaling")
    times = scaling["trackers ByteTrack"]["200"] / scaling["fleetlabel 2D, update() per frame"]["200"]
    out.append(_least("2d at N = 200, update() over ByteTrack", times, 10.0))
    for cls in ("Car", "Pedestrian"):
        speed = _results(f"tracking_3d_{cls}_online")["fps"]
        out.append(_least(f"3d {cls} online frames/s", speed, 10_000.0))
    both = _results("ab3dmot_Car")
    times = both["AB3DMOT"]["ms_at_200"] / both["fleetlabel"]["ms_at_200"]
    return [*out, _least("3d at N = 200, update() over AB3DMOT", times, 1000.0)]


def _least(what: str, value: float, bound: float) -> tuple[str, float, str, float, float]:
    return what, value, f">= {bound:,.4g}", bound, float("inf")


def _most(what: str, value: float, bound: float) -> tuple[str, float, str, float, float]:
    return what, value, f"<= {bound:,.4g}", -float("inf"), bound


def _results(name: str) -> Any:
    return json.loads((HERE / "results" / f"{name}.json").read_text())["results"]


if __name__ == "__main__":
    main()
