# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's MPIInterface by the name that it had in CASA 4."""

from sheaf.cluster import simple_cluster  # noqa: F401
