"""Synthetic drives: a street with traffic and the sensors that see it, with exactly known truth."""
