# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's ParallelTaskHelper by CASA's name."""

from sheaf.parallel import JobData, ParallelTaskHelper, ParallelTaskWorker  # noqa: F401
