"""Labels in other tools' formats: KITTI tracking.

``projection`` and ``motion`` hold what it takes to say where a cuboid is in a picture.
"""

from fleetlabel.engine.export.kitti import export_kitti
from fleetlabel.engine.export.kitti_rows import KittiRows, kitti_rows

__all__ = ["KittiRows", "export_kitti", "kitti_rows"]
