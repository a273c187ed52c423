# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts and CASA's tests import from here; the rest of CASA's own package, where it is installed."""

import casatasks as _casatasks

if _casatasks._CASA:
    __path__.append(_casatasks._CASA + "/private")
