# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's MPIMonitorClient: which servers are in order."""

from sheaf import MPICommandClient, _core


class MPIMonitorClient:
    """What the client knows of its servers."""

    def __init__(self, start_services=True):
        self._client = MPICommandClient(start_services)
        self._grace = None

    def start_services(self):
        """The client watches its servers from its own start on."""
        self._client.start_services()

    def get_server_status(self, server=None):
        """As MPICommandClient.get_server_status."""
        return self._client.get_server_status(server)

    def get_server_status_keyword(self, server, keyword):
        """One value of a server's status."""
        status = self._client.get_server_status(server)
        return None if status is None else status[keyword]

    def _ranks(self, wanted):
        return [rank for rank, status in self._client.get_server_status().items() if wanted(status)]

    def get_server_rank_available(self, verbose=False):
        """Servers that are in order and have nothing to do."""
        return self._ranks(lambda s: not s["timeout"] and not s["busy"])

    def get_server_rank_online(self, verbose=False):
        """Servers that are in order."""
        return self._ranks(lambda s: not s["timeout"])

    def get_server_timeout(self):
        """Servers that give no sign of life, or have ended."""
        return self._ranks(lambda s: s["timeout"])

    def start_debugging_mode(self):
        """From here on servers may be silent for ever."""
        if self._grace is None:
            self._grace = _core.command_grace()
        _core.command_grace(0.0)

    def stop_debugging_mode(self):
        """Undoes start_debugging_mode."""
        if self._grace is not None:
            _core.command_grace(self._grace)
        self._grace = None
