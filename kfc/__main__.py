"""Runs the command line for `python -m kfc`."""

from kfc.cli import main

main()
