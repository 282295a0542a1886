"""Compiled inner loops of the trackers: assignment, the online frame loop, smoothing. See geometry.compiled."""
