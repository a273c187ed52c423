# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing this makes servers serve; the client goes on."""

import sheaf  # noqa: F401
