"""Counts that add: where values fall (grids), how often (distributions), over all features."""

from mlwatch.profile.counts import PREFIX, Profile
from mlwatch.profile.distribution import Distribution
from mlwatch.profile.grid import CategoricalGrid, Grid, NumericGrid, fit_grid, grid_from_plain

__all__ = [
    "PREFIX",
    "CategoricalGrid",
    "Distribution",
    "Grid",
    "NumericGrid",
    "Profile",
    "fit_grid",
    "grid_from_plain",
]
