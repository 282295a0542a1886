"""The formats of label files that FleetLabel knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fleetlabel.engine.exchange.coco import CocoLabels
from fleetlabel.engine.exchange.contract import LabelFormat, WritableFormat
from fleetlabel.engine.exchange.cvat import CvatLabels
from fleetlabel.engine.exchange.datumaro import DatumaroLabels
from fleetlabel.engine.exchange.kitti_object import KittiObjectLabels
from fleetlabel.engine.exchange.kitti_tracking import KittiTrackingLabels
from fleetlabel.engine.exchange.mot import MotLabels
from fleetlabel.engine.exchange.nuscenes import NuScenesTables
from fleetlabel.engine.exchange.nuscenes_results import NuScenesResults
from fleetlabel.engine.exchange.openlabel import OpenLabel
from fleetlabel.engine.exchange.parquet import ParquetLabels
from fleetlabel.engine.exchange.scalabel import ScalabelLabels
from fleetlabel.engine.exchange.yolo import YoloLabels
from fleetlabel.model.errors import UsageError

FORMATS: Mapping[str, LabelFormat] = MappingProxyType(
    {
        format.name: format
        for format in (
            KittiTrackingLabels(),
            KittiObjectLabels(),
            NuScenesTables(),
            NuScenesResults(),
            CocoLabels(),
            YoloLabels(),
            MotLabels(),
            CvatLabels(),
            OpenLabel(),
            ScalabelLabels(),
            DatumaroLabels(),
            ParquetLabels(),
        )
    }
)


def format_named(name: str) -> LabelFormat:
    """The format of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no label format {name!r}; known are {', '.join(FORMATS)}")
    return FORMATS[name]


def writable_format(name: str) -> WritableFormat:
    """The format of that name, which labels are to be written in.

    Raises:
        UsageError: there is none, or it can just be read.
    """
    format = format_named(name)
    if not isinstance(format, WritableFormat):
        writable = [other.name for other in FORMATS.values() if isinstance(other, WritableFormat)]
        raise UsageError(
            f"{format.title} can be imported, not exported; formats to export are {', '.join(writable)}"
        )
    return format
