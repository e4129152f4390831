"""`python -m spotterd` is the command `spotterd`."""

from spotterd.cli.main import main

main()
