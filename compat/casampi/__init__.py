# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's package casampi, done by Sheaf. For PYTHONPATH; never to be installed over a CASA."""

import sheaf  # noqa: F401  (under MPI, servers stay in this import)
