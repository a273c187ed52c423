# SPDX-License-Identifier: GPL-3.0-or-later
"""Found by pytest: puts this folder into the path, so that tests can import inputs and runs."""
