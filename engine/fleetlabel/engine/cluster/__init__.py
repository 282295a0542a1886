"""Dask: the workers of a fleet, on this machine or on many. Nothing else of FleetLabel imports it.

``connect`` finds workers and ``local`` starts some; ``connection`` refuses those that do not fit; ``workers`` gives
them tasks.
"""

from fleetlabel.engine.cluster.connect import connect
from fleetlabel.engine.cluster.connection import Connection
from fleetlabel.engine.cluster.local import start_local
from fleetlabel.engine.cluster.workers import DaskWorkers

__all__ = ["Connection", "DaskWorkers", "connect", "start_local"]
