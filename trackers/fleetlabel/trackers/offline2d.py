"""Whole-sequence pass over 2D tracks: gaps filled, births backfilled, fragments linked, boxes smoothed."""

from __future__ import annotations

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.trackers.offline import output_rows, owner_of_rows, solve
from fleetlabel.trackers.offline_config import Smooth2DConfig
from fleetlabel.trackers.online import check_detections, check_times
from fleetlabel.trackers.rows import Detections2D, Tracks2D
from fleetlabel.trackers.timeline import Evidence
from fleetlabel.trackers.tracker2d import center_size, corner_points
from fleetlabel.trackers.uncertainty import edge_std_px


def smooth_tracks_2d(
    rows: Tracks2D, timestamp_ns: I64, detections: Detections2D, config: Smooth2DConfig | None = None,
    *, weight: F64 | None = None,
) -> Tracks2D:  # fmt: skip
    """Tracks of a whole sequence, looking both ways.

    Args:
        rows: of :meth:`Tracker2D.run` over the sequence, whose ``detection`` indexes ``detections``.
        timestamp_ns: (F,) int64, strictly ascending.
        detections: all of the sequence, those that no track took included.
        config: see :class:`Smooth2DConfig`.
        weight: (N,) positive, how much each detection counts beside the others; all the same without it.

    Returns:
        One row per frame from a track's first to its last detection, gaps up to ``fill_gap_s`` included; ids
        from 1 in order of appearance. Rows with a detection are ``smoothed``, those without ``interpolated``.

    Raises:
        ValueError: as :meth:`Tracker2D.run`, or if ``rows`` do not fit ``detections``.

    """
    config = config or Smooth2DConfig()
    times = check_times(timestamp_ns)
    box = center_size(detections.xyxy_px)
    frame_ptr = check_detections(len(times), detections.frame, box, detections.score)
    evidence = Evidence.gather(
        times, frame_ptr, detections.frame, box, detections.score, detections.class_id, weight
    )
    owner = owner_of_rows(rows.track_id, rows.detection, len(detections))
    line = solve(evidence, owner, config, config.noise(), 0.0)
    out = output_rows(evidence, line, config)
    return Tracks2D(
        frame=out.frame, track_id=out.track_id, xyxy_px=corner_points(line.mean[out.sample, 0]), score=out.score,
        class_id=out.class_id, detection=out.detection, status=out.status,
        xyxy_std_px=edge_std_px(line, out.sample, config),
    )  # fmt: skip
