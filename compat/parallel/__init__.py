# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's parallel helpers by the names of CASA 4 and 5."""
