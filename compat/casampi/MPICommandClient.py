# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPICommandClient by CASA's name."""

from sheaf import MPICommandClient  # noqa: F401
