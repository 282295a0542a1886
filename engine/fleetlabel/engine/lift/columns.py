"""Columns of the arrays that kernels hand to one another."""

from __future__ import annotations

# Of a fitted object: place, heading (radians) and size in the level frame; highest point above the road; lidar points
# inside; what points, silhouette and size say against it; credit of its cluster (see selection.py); mean time of its
# points (ns); range from the camera; how far its top and bottom lie above those of the detection's box, in its heights.
X, Y, YAW, LENGTH, WIDTH, TOP, POINTS, COST, CREDIT, TIME, RANGE, OFF_TOP, OFF_BOTTOM = range(13)
N_COLUMNS = 13

# Of a silhouette: camera x, y; unit direction of the box's middle; angles of its left and right edge from there (left
# positive); their standard deviations; whether the picture's border cuts the left and right edge.
EYE_X, EYE_Y, DIR_X, DIR_Y, LEFT, RIGHT, SIGMA_LEFT, SIGMA_RIGHT, CUT_LEFT, CUT_RIGHT = range(10)

# Of a detection's upper and lower edge: slopes of the rays, and whether the picture's border cuts it.
SLOPE_TOP, SLOPE_BOTTOM, CUT_TOP, CUT_BOTTOM = range(4)
