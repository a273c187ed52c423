# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPIInterface by CASA's name."""

from sheaf import MPIInterface  # noqa: F401
