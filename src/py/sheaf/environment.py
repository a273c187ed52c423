# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's MPIEnvironment: what this process is under MPI."""

import os

from sheaf import _core

_MPI_NAME, _MPI_VERSION, _STANDARD = _core.par_mpi()


def _role():
    if _core.par_size() < 2:
        return "Sequential"
    return "MPIClient" if _core.par_rank() == 0 else "MPIServer"


def _info(enabled, host, rank, role, vendor):
    if not enabled:
        return f"MPI not enabled at host {host}"
    return (f"MPI Enabled at host {host} with rank {rank} as {role} "
            f"using MPI version {_STANDARD[0]}.{_STANDARD[1]} from {vendor} implementation ")


class MPIEnvironment:
    """Facts about this process, fixed at the start. Times are in seconds."""

    hostname = _core.par_host()
    hostname_wo_domain = hostname.split(".")[0]
    mpi_pid = os.getpid()
    mpi_world_size = _core.par_size()
    mpi_processor_rank = _core.par_rank()
    mpi_client_rank = 0
    is_mpi_enabled = mpi_world_size > 1
    is_mpi_client = is_mpi_enabled and mpi_processor_rank == 0
    is_mpi_thread_safe = is_mpi_enabled
    mpi_initialized = is_mpi_enabled
    mpi_execution_role = _role()
    mpi_vendor_info = (_MPI_NAME, _MPI_VERSION)
    mpi_vendor_version = _MPI_VERSION
    mpi_vendor_version_str = ".".join(map(str, _MPI_VERSION))
    mpi_vendor_str = f"{_MPI_NAME} v{mpi_vendor_version_str}"
    mpi_version_info = _STANDARD
    mpi_version_str = ".".join(map(str, _STANDARD))
    mpi_info_msg = _info(is_mpi_enabled, hostname, mpi_processor_rank, mpi_execution_role, mpi_vendor_str)
    processor_origin = (f"@{hostname}:{mpi_execution_role}"
                        + (f"-{mpi_processor_rank}" if mpi_processor_rank else "")) if is_mpi_enabled else ""
    # How often the client asks its servers for a sign of life, and how long they may take.
    mpi_monitor_status_service_heartbeat = 1
    mpi_monitor_status_service_timeout = int(_core.command_grace())
    mpi_monitor_status_service_timeout_enabled = mpi_monitor_status_service_timeout > 0

    @classmethod
    def is_mpi_disabled_or_client(cls):
        """Whether this process may distribute work."""
        return not cls.is_mpi_enabled or cls.is_mpi_client

    @classmethod
    def mpi_server_rank_list(cls):
        """Ranks of all servers, a new list."""
        return list(range(1, cls.mpi_world_size))

    @classmethod
    def finalize_mpi_environment(cls):
        """Ends the servers and leaves MPI; afterwards tasks run in this process."""
        _core.command_stop()
