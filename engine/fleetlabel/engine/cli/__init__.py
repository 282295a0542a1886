"""The ``fleetlabel`` command line."""
