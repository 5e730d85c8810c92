"""`python -m adieu` is the command `adieu`."""

from adieu.cli import main

main()
