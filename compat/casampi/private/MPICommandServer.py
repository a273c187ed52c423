# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's MPICommandServer: there is one in each server process, and none that a script could make."""


class MPICommandServer:
    """Cannot be instantiated: Sheaf's servers serve from the import of the package on."""

    def __init__(self, start_services=False):
        raise RuntimeError("MPICommandServer cannot be instantiated at master MPI process: servers run by themselves")
