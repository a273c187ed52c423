# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPIInterface by the name of CASA 5."""

from sheaf import MPIInterface  # noqa: F401
