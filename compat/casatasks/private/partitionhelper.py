# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's partitionhelper by CASA's name."""

from sheaf.partitionhelper import *  # noqa: F401,F403
