"""FleetLabel's classes, and what other vocabularies call them.

The classes follow nuScenes' grouping (pickups are trucks, riders belong to their bicycle or motorcycle), the
vocabulary in which most driving data can be compared. A name that no vocabulary knows is kept as it is and reported:
a label must never silently become another label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fleetlabel.geometry.arrays import I16

CLASSES: tuple[str, ...] = (
    *("car", "truck", "bus", "trailer", "construction_vehicle", "train"),
    *("motorcycle", "bicycle", "pedestrian", "animal"),
    *("traffic_light", "traffic_sign", "traffic_cone", "barrier", "movable_object"),
)

# Objects that stand or move on the road as one body: what is lifted to 3D and tracked in the world.
LIFTED_CLASSES: frozenset[str] = frozenset(CLASSES[:10])

COCO: Mapping[str, str] = MappingProxyType(
    {
        "person": "pedestrian",
        "bicycle": "bicycle",
        "car": "car",
        "motorcycle": "motorcycle",
        "bus": "bus",
        "train": "train",
        "truck": "truck",
        "traffic light": "traffic_light",
        "stop sign": "traffic_sign",
        "bird": "animal",
        "cat": "animal",
        "dog": "animal",
        "horse": "animal",
        "sheep": "animal",
        "cow": "animal",
        "elephant": "animal",
        "bear": "animal",
        "zebra": "animal",
        "giraffe": "animal",
    }
)

# Everyday objects that COCO detectors know and a road does not: kept under their own names, nothing to report.
COCO_OFF_ROAD: frozenset[str] = frozenset(
    [
        "airplane",
        "boat",
        "fire hydrant",
        "parking meter",
        "bench",
        "backpack",
        "umbrella",
        "handbag",
        "tie",
        "suitcase",
        "frisbee",
        "skis",
        "snowboard",
        "sports ball",
        "kite",
        "baseball bat",
        "baseball glove",
        "skateboard",
        "surfboard",
        "tennis racket",
        "bottle",
        "wine glass",
        "cup",
        "fork",
        "knife",
        "spoon",
        "bowl",
        "banana",
        "apple",
        "sandwich",
        "orange",
        "broccoli",
        "carrot",
        "hot dog",
        "pizza",
        "donut",
        "cake",
        "chair",
        "couch",
        "potted plant",
        "bed",
        "dining table",
        "toilet",
        "tv",
        "laptop",
        "mouse",
        "remote",
        "keyboard",
        "cell phone",
        "microwave",
        "oven",
        "toaster",
        "sink",
        "refrigerator",
        "book",
        "clock",
        "vase",
        "scissors",
        "teddy bear",
        "hair drier",
        "toothbrush",
    ]
)

KITTI: Mapping[str, str] = MappingProxyType(
    {
        "Car": "car",
        "Van": "car",
        "Truck": "truck",
        "Pedestrian": "pedestrian",
        "Person": "pedestrian",
        "Person_sitting": "pedestrian",
        "Cyclist": "bicycle",
        "Tram": "train",
        "Misc": "movable_object",
    }
)

PANDASET: Mapping[str, str] = MappingProxyType(
    {
        "Car": "car",
        "Pickup Truck": "truck",
        "Medium-sized Truck": "truck",
        "Semi-truck": "truck",
        "Towed Object": "trailer",
        "Motorcycle": "motorcycle",
        "Other Vehicle - Construction Vehicle": "construction_vehicle",
        "Other Vehicle - Uncommon": "truck",
        "Other Vehicle - Pedicab": "bicycle",
        "Emergency Vehicle": "truck",
        "Bus": "bus",
        "Personal Mobility Device": "bicycle",
        "Motorized Scooter": "motorcycle",
        "Bicycle": "bicycle",
        "Train": "train",
        "Trolley": "train",
        "Tram / Subway": "train",
        "Pedestrian": "pedestrian",
        "Pedestrian with Object": "pedestrian",
        "Animals - Bird": "animal",
        "Animals - Other": "animal",
        "Pylons": "traffic_cone",
        "Cones": "traffic_cone",
        "Signs": "traffic_sign",
        "Construction Signs": "traffic_sign",
        "Road Barriers": "barrier",
        "Temporary Construction Barriers": "barrier",
        "Rolling Containers": "movable_object",
    }
)

NUSCENES: Mapping[str, str] = MappingProxyType(
    {
        "vehicle.car": "car",
        "vehicle.truck": "truck",
        "vehicle.bus.bendy": "bus",
        "vehicle.bus.rigid": "bus",
        "vehicle.trailer": "trailer",
        "vehicle.construction": "construction_vehicle",
        "vehicle.emergency.ambulance": "truck",
        "vehicle.emergency.police": "car",
        "vehicle.motorcycle": "motorcycle",
        "vehicle.bicycle": "bicycle",
        "human.pedestrian.adult": "pedestrian",
        "human.pedestrian.child": "pedestrian",
        "human.pedestrian.construction_worker": "pedestrian",
        "human.pedestrian.police_officer": "pedestrian",
        "human.pedestrian.personal_mobility": "pedestrian",
        "human.pedestrian.stroller": "pedestrian",
        "human.pedestrian.wheelchair": "pedestrian",
        "animal": "animal",
        "movable_object.barrier": "barrier",
        "movable_object.trafficcone": "traffic_cone",
        "movable_object.debris": "movable_object",
        "movable_object.pushable_pullable": "movable_object",
        "static_object.bicycle_rack": "movable_object",
    }
)

ARGOVERSE2: Mapping[str, str] = MappingProxyType(
    {
        "REGULAR_VEHICLE": "car",
        "LARGE_VEHICLE": "truck",
        "TRUCK": "truck",
        "TRUCK_CAB": "truck",
        "BOX_TRUCK": "truck",
        "BUS": "bus",
        "SCHOOL_BUS": "bus",
        "ARTICULATED_BUS": "bus",
        "VEHICULAR_TRAILER": "trailer",
        "RAILED_VEHICLE": "train",
        "MOTORCYCLE": "motorcycle",
        "MOTORCYCLIST": "motorcycle",
        "BICYCLE": "bicycle",
        "BICYCLIST": "bicycle",
        "WHEELED_DEVICE": "bicycle",
        "WHEELED_RIDER": "bicycle",
        "PEDESTRIAN": "pedestrian",
        "OFFICIAL_SIGNALER": "pedestrian",
        "STROLLER": "pedestrian",
        "WHEELCHAIR": "pedestrian",
        "ANIMAL": "animal",
        "DOG": "animal",
        "CONSTRUCTION_CONE": "traffic_cone",
        "CONSTRUCTION_BARREL": "traffic_cone",
        "BOLLARD": "barrier",
        "SIGN": "traffic_sign",
        "STOP_SIGN": "traffic_sign",
        "MOBILE_PEDESTRIAN_CROSSING_SIGN": "traffic_sign",
        "MESSAGE_BOARD_TRAILER": "trailer",
        "TRAFFIC_LIGHT_TRAILER": "trailer",
    }
)

# Vehicles of every kind are one type.
WAYMO: Mapping[str, str] = MappingProxyType(
    {
        "TYPE_VEHICLE": "car",
        "TYPE_PEDESTRIAN": "pedestrian",
        "TYPE_CYCLIST": "bicycle",
        "TYPE_SIGN": "traffic_sign",
    }
)

VOCABULARIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "fleetlabel": {name: name for name in CLASSES},
        "coco": COCO,
        "kitti": KITTI,
        "pandaset": PANDASET,
        "nuscenes": NUSCENES,
        "argoverse2": ARGOVERSE2,
        "waymo": WAYMO,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """How a vocabulary's class numbers become ours.

    Attributes:
        class_names: :data:`CLASSES`, followed by the names kept as they are.
        class_id: (n_source_names,) int16 row of ``class_names`` for every source name.
        unknown: source names that no vocabulary knows; they are kept and should be reported.
    """

    class_names: tuple[str, ...]
    class_id: I16
    unknown: tuple[str, ...]


def canonical(name: str) -> str | None:
    """Our class for a name of any known vocabulary, None if nobody knows it.

    Vocabularies are asked in turn; case and the choice of space, dash or underscore do not matter, and no two of
    them disagree on a name (tested).
    """
    return _BY_FOLDED_NAME.get(_fold(name))


def class_map(names: Sequence[str]) -> ClassMap:
    """Maps a detector's or file's class names to :data:`CLASSES`, keeping names that have no counterpart.

    Args:
        names: the source's class names, in the order of its class numbers.
    """
    kept: dict[str, int] = {}
    class_id = np.empty(len(names), dtype=np.int16)
    for row, name in enumerate(names):
        known = canonical(name)
        class_id[row] = (
            CLASSES.index(known) if known is not None else kept.setdefault(name, len(CLASSES) + len(kept))
        )
    unknown = tuple(name for name in kept if name not in COCO_OFF_ROAD)
    return ClassMap(class_names=(*CLASSES, *kept), class_id=class_id, unknown=unknown)


def _fold(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ").strip()


_BY_FOLDED_NAME: Mapping[str, str] = MappingProxyType(
    {_fold(name): known for vocabulary in VOCABULARIES.values() for name, known in vocabulary.items()}
)
