# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's parallel helpers by CASA's names."""

import casatasks as _casatasks

if _casatasks._CASA:
    __path__.append(_casatasks._CASA + "/private/parallel")
