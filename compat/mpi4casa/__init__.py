# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's package mpi4casa (CASA 4 and 5), done by Sheaf. For PYTHONPATH; never to be installed over a CASA."""

import sheaf  # noqa: F401  (under MPI, servers stay in this import)
