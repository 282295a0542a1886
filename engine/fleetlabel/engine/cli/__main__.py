"""``python -m fleetlabel.engine.cli``: the command line where the console script is not on the path."""

from fleetlabel.engine.cli.app import main

main()
