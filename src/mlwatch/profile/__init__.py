"""Counts that add: where values fall (grids), how often (distributions), over all features."""

from mlwatch.profile.coarse import History
from mlwatch.profile.codes import CODES, RankCodes
from mlwatch.profile.counts import PREFIX, Profile
from mlwatch.profile.distribution import Distribution
from mlwatch.profile.grid import CategoricalGrid, Grid, NumericGrid, fit_grid, grid_from_plain

__all__ = [
    "CODES",
    "PREFIX",
    "CategoricalGrid",
    "Distribution",
    "Grid",
    "History",
    "NumericGrid",
    "Profile",
    "RankCodes",
    "fit_grid",
    "grid_from_plain",
]
