"""Ground floor of FleetLabel: rotations, rigid transforms, ego trajectories, box corners and overlap kernels.

Arrays in, arrays out; nothing here knows files, sensors or stores. Transforms are ``dst_from_src`` 4x4 float64
acting on column vectors, quaternions are ``w, x, y, z`` with ``w >= 0``, angles are radians, lengths metres.
"""
