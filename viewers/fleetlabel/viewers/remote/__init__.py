"""An engine elsewhere as the app's source: its labels on this machine, edits that it does not have yet, its frames.

``mirror`` keeps what does not change (sensors, times, the label version that people began with), ``outbox`` what the
engine has not acknowledged, on the disk; ``replica`` makes labels of both and of the engine's records; ``link`` is the
thread that sends and fetches; ``source`` puts them together.
"""
