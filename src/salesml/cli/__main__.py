"""python -m salesml.cli is salesml."""

from salesml.cli import main

main()
