# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's ParallelDataHelper by CASA's name."""

from sheaf.parallel import ParallelTaskHelper  # noqa: F401
from sheaf.paralleldata import ParallelDataHelper  # noqa: F401
