"""Runs TrackEval on exported KITTI folders, in its own environment.

Usage: ``python trackeval_kitti.py GT_FOLDER TRACKER_FOLDER``; prints combined scores by class as JSON.
    Imports
nothing of FleetLabel.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np


def main(truth: str, tracker: str) -> None:
    import trackeval

    folder = Path(tracker)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.Kitti2DBox(
            {
                "GT_FOLDER": truth,
                "TRACKERS_FOLDER": str(folder.parent),
                "TRACKERS_TO_EVAL": [folder.name],
                "TRACKER_SUB_FOLDER": "label_02",
                "CLASSES_TO_EVAL": ["car", "pedestrian"],
                "PRINT_CONFIG": False,
            }
        )
        quiet = {"PRINT_CONFIG": False}
        metrics = [
            trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)
        ]  # fmt: skip
        result = {}
        for cls in ("car", "pedestrian"):
            found = {}
            for metric in metrics:
                by_sequence = {}
                for sequence in dataset.seq_list:
                    raw = dataset.get_raw_seq_data(folder.name, sequence)
                    by_sequence[sequence] = metric.eval_sequence(dataset.get_preprocessed_seq_data(raw, cls))
                combined = metric.combine_sequences(by_sequence)
                found |= {name: float(np.mean(value)) for name, value in combined.items()}
            result[cls] = found
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
