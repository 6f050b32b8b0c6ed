"""`python -m kfc` -> the command line."""

from kfc.cli import main

main()
