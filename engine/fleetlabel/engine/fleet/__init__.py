"""Fleets: many drives labelled by one call, each in a store of its own, on threads or on a cluster's workers."""
