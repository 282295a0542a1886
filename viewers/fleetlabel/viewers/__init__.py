"""What people see: scenes of a store as plain data, and their rendering to pictures and video.

:mod:`~fleetlabel.viewers.scene` is free of pixels; everything that draws builds on it.
"""
