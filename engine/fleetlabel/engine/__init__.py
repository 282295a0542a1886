"""The labeling engine: ingest, detect, lift, track, evaluate, export, and the command line that drives them."""
