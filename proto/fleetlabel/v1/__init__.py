"""The engine's API on the wire: messages and services of ``fleetlabel.v1``, generated from the ``.proto`` files here.

``from fleetlabel.v1 import boxes_pb2`` has messages, ``label_service_pb2_grpc`` a service's stub and servicer.
:mod:`fleetlabel.client` is what Python programs are meant to use.
"""
