"""`python -m mtl.cli`: the same as the `mtl` command."""

from mtl.cli.main import main

main()
