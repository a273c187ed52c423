# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPICommandClient by the name of CASA 5."""

from sheaf import MPICommandClient  # noqa: F401
