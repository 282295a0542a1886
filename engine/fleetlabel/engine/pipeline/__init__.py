"""The pipeline: a drive log in, a label version out, in idempotent tasks of one sensor and one range of frames."""
