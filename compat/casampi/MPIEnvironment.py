# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPIEnvironment by CASA's name."""

from sheaf import MPIEnvironment  # noqa: F401
