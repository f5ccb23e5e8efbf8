"""Hydra takes sweepers from this namespace only. Theirs is `mtl.cli`."""

from mtl.cli import grid, search


class Grid(grid.Grid):
    """Every combination of the listed values (`hydra/sweeper=grid`, the default)."""


class Search(search.Search):
    """Optuna (`hydra/sweeper=optuna`)."""
