"""Pictures as H.264 video in an MP4 file, one after the other: memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from fleetlabel.geometry.arrays import I64, U8
from fleetlabel.viewers.outputs import OutputError, replacing

# x264's constant quality: its default of 23 smears thin lines and lettering, 18 is called visually lossless.
_QUALITY = {"crf": "19", "preset": "veryfast"}


def write_video(path: Path, pictures: Iterable[U8], pictures_per_s: Fraction) -> int:
    """Writes pictures (H, W, 3) of blue, green, red, all of one size with even sides, as they come.

    Returns:
        How many there were.

    Raises:
        OutputError: the file system refused, or this build of PyAV cannot encode H.264.
    """
    count = 0
    with replacing(path) as scratch:
        try:
            with av.open(str(scratch), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                stream = None
                for picture in pictures:
                    if stream is None:
                        stream = container.add_stream("libx264", rate=pictures_per_s, options=_QUALITY)
                        stream.height, stream.width = picture.shape[:2]
                        stream.pix_fmt = "yuv420p"
                        context = stream.codec_context
                        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
                        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
                    # Players take high-definition video for BT.709; FFmpeg would convert with BT.601 unasked.
                    converted = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
                    container.mux(stream.encode(converted))
                    count += 1
                if stream is not None:
                    container.mux(stream.encode(None))
        except av.codec.codec.UnknownCodecError as error:
            raise OutputError(
                f"cannot write {path}: this build of PyAV has no H.264 encoder (libx264); "
                "install the one from PyPI: pip install --force-reinstall av"
            ) from error
    return count


def real_time_rate(timestamp_ns: I64) -> Fraction:
    """Pictures per second at which frames taken at these times (F,) play as fast as they happened."""
    if len(timestamp_ns) < 2:
        return Fraction(10)
    return Fraction(1e9 / max(float(np.median(np.diff(timestamp_ns))), 1e6)).limit_denominator(1000)
