"""``fleetlabel render``: a frame as a picture, or the whole sequence as video.

Registered as an entry point in group ``fleetlabel.commands``. What draws is imported when the command runs,
so that ``fleetlabel --help`` stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.palette import ColorBy

if TYPE_CHECKING:
    from fleetlabel.geometry.arrays import U8


def render(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="A sequence's store (.zarr).", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="A picture (.png, .jpg) or a video (.mp4).",
            show_default=False,
        ),
    ],
    frame: Annotated[int | None, typer.Option(help="The frame of a picture.", show_default="0")] = None,
    frames: Annotated[
        str | None, typer.Option(metavar="A:B", help="A video's frames: A to B - 1.", show_default="all")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Which label version.", show_default="the newest")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another label version, dashed over the first.", show_default="none")
    ] = None,
    cameras: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Cameras to show.", show_default="all")
    ] = None,
    width: Annotated[int, typer.Option(help="Width in pixels.")] = 1920,
    radius: Annotated[float, typer.Option(help="Reach of the view from above, in metres.")] = 50.0,
    no_points: Annotated[bool, typer.Option("--no-points", help="Leave the lidar's points out.")] = False,
    color: Annotated[ColorBy, typer.Option(help="What the colours of boxes tell.")] = ColorBy.CLASS,
) -> None:
    """Draw labels: all cameras with their boxes, and the ground from above."""
    from fleetlabel.viewers.outputs import STILL_SUFFIXES, write_still
    from fleetlabel.viewers.scene import SceneReader
    from fleetlabel.viewers.sheet import draw_sheet

    suffix = out.suffix.lower()
    if suffix not in (*STILL_SUFFIXES, ".mp4"):
        raise UsageError(f"--out {out} is neither a picture ({', '.join(STILL_SUFFIXES)}) nor a video (.mp4)")
    if frame is not None and suffix == ".mp4":
        raise UsageError(
            f"--frame shows one frame and {out} is a video; use --frames {frame}:{frame + 1}, or a .png"
        )
    if frames is not None and suffix != ".mp4":
        raise UsageError(f"--frames is for a video and {out} is a picture; use --frame, or a .mp4")
    if not 480 <= width <= 7680:
        raise UsageError(f"--width {width} is outside 480..7680 pixels")
    if not 2 <= radius <= 1000:
        raise UsageError(f"--radius {radius:g} is outside 2..1000 metres")
    opened = SequenceStore.open(store)
    span = _span(frames, opened.info.n_frames)
    versions = _versions(opened, labels, against)
    reader = SceneReader(
        opened, versions, None if cameras is None else cameras.split(","), with_points=not no_points
    )

    def sheet(number: int) -> U8:
        return draw_sheet(reader.at(number), width_px=width, radius_m=radius, color_by=color)

    if suffix != ".mp4":
        write_still(out, sheet(frame or 0))
        return
    try:
        from fleetlabel.viewers.video import real_time_rate, write_video
    except ModuleNotFoundError as error:
        raise UsageError("video needs PyAV; install it with: pip install 'fleetlabel[video]'") from error
    times = opened.info.frame_timestamp_ns[span.start : span.stop]
    write_video(out, (sheet(number) for number in _with_bar(span)), real_time_rate(times))


def _versions(store: SequenceStore, labels: str | None, against: str | None) -> list[str]:
    """The label version in question, and the one it is compared with."""
    chosen = store.latest_labels() if labels is None else store.labels(labels)
    if against is None:
        return [chosen.name]
    if against == chosen.name:
        raise UsageError(f"--against {against} is the version that is shown already; name another one")
    return [chosen.name, store.labels(against).name]


def _span(text: str | None, n_frames: int) -> range:
    """``A:B`` as frames A to B - 1; either may be left out.

    Raises:
        UsageError: it is no such text, or not within the sequence.
    """
    match = re.fullmatch(r"(\d*):(\d*)", ":" if text is None else text.strip())
    if match is None:
        raise UsageError(f"--frames {text!r} is not A:B; write for example --frames 0:50")
    start, stop = int(match[1] or 0), int(match[2] or n_frames)
    if not 0 <= start < stop <= n_frames:
        raise UsageError(
            f"--frames {text} is empty or reaches beyond the sequence, which has frames 0:{n_frames}"
        )
    return range(start, stop)


def _with_bar(span: range) -> Iterator[int]:
    """The frames, counted by a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("render"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield from bar.track(span)
