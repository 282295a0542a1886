"""Compiled inner loops of the trackers; see ``geometry.compiled`` for how and for what they may call."""
