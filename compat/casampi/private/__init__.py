# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts and CASA's tests import from here."""
