# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPIEnvironment by the name of CASA 5."""

from sheaf import MPIEnvironment  # noqa: F401
