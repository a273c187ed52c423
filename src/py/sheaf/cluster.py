# SPDX-License-Identifier: GPL-3.0-or-later
"""MPIInterface: the servers as a cluster of engines, with the methods of CASA's class of this name (once simple_cluster)."""

import time

from sheaf import _core
from sheaf.command import MPICommandClient
from sheaf.environment import MPIEnvironment

_HEAD = ["JOB ID", "SERVER", "HOSTNAME", "QUEUE STATUS", "COMMAND", "ELAPSED TIME (s)", "EXECUTION STATUS"]


def _post(level, method, text):
    _core.log_post(level, f"MPIInterface::{method}", text)


class MPIInterfaceCore:
    """What `cluster._cluster` offers."""

    def __init__(self):
        self._client = MPICommandClient()

    def start_cluster(self, cl_file=None):
        """Makes the servers take commands; they are those that mpisheaf started, so a host file is of no use here."""
        if cl_file is not None:
            _post(2, "start_cluster", f"cl_file={cl_file!r}: the servers were chosen when mpisheaf was started")
        self._client.start_services()

    def stop_cluster(self):
        """Ends the servers."""
        self._client.stop_services()

    def get_engines(self):
        """Ranks of the servers that are in order."""
        return [rank for rank, s in self._client.get_server_status().items() if not s["timeout"]]

    def get_nodes(self):
        """Hosts of these servers, each once."""
        return list(dict.fromkeys(s["processor"] for s in self._client.get_server_status().values()
                                  if not s["timeout"]))

    def pgc(self, commands, block=True):
        """Runs one command on all servers, or a dictionary {server: command}; responses, or numbers if not block."""
        if isinstance(commands, str):
            return self._client.push_command_request(commands, block, self.get_engines())
        if not isinstance(commands, dict):
            _post(3, "pgc", f"commands={commands!r}: must be a text, or a dictionary of texts by server")
            return None
        ids = []
        for rank, command in commands.items():
            ids += self._client.push_command_request(command, False, rank) or []
        return self._client.get_command_response(ids, True) if block else ids

    def odo(self, job, nodes):
        """Runs a command on one server or a list of them, without waiting; numbers of the requests."""
        return self._client.push_command_request(job, False, nodes)

    def execute(self, job, nodes):
        """The same, with waiting; the responses."""
        return self._client.push_command_request(job, True, nodes)

    def push(self, variables, targets=None):
        """Sets variables on servers (default: all)."""
        return self._client.push_command_request("push", True, targets or self.get_engines(), variables)

    def pull(self, varname="", targets=None):
        """{server: value} of a variable; None where there is none."""
        responses = self._client.push_command_request(varname, True, targets or self.get_engines())
        return {response["server"]: response["ret"] for response in responses or []}

    def check_job(self, jobId, verbose=True):
        """Whether these requests are done; an exception with the tracebacks when some failed."""
        ids = list(jobId)
        responses = self._client.get_command_response(ids, False, verbose)
        failures = [f"Exception executing command in server {r['server']}: {r['traceback']}"
                    for r in responses if not r["successful"]]
        if failures:
            if verbose:
                for failure in failures:
                    _post(3, "check_job", failure)
            raise RuntimeError("\n".join(failures))
        return len(responses) == len(ids)

    def get_server_status(self):
        """What is known of all servers by rank."""
        return self._client.get_server_status()

    def get_command_request_list(self):
        """All requests by number."""
        return self._client.get_command_request_list()

    def get_command_response_list(self):
        """All responses so far by number."""
        return self._client.get_command_response_list()


def _state_of(request, response):
    if response is None:
        return "timeout" if request["status"] == "timeout" else "pending"
    if response["status"] == "timeout":
        return "timeout"
    if not response["successful"]:
        return "exception raised"
    return "completed" + (f" - {response['ret']}" if isinstance(response["ret"], bool) else "")


class MPIInterface:
    """The cluster of servers; every object of this class is the same."""

    _core = None

    def __init__(self):
        if MPIInterface._core is None:
            MPIInterface._core = MPIInterfaceCore()
        self._cluster = MPIInterface._core
        self._client = MPICommandClient()

    @staticmethod
    def set_log_mode(logmode):
        """As MPICommandClient.set_log_mode."""
        MPICommandClient().set_log_mode(logmode)

    @staticmethod
    def getCluster():
        """The cluster, started."""
        cluster = MPIInterface()
        cluster.start_cluster()
        return cluster

    @staticmethod
    def print_table(table):
        """Prints rows of texts in columns."""
        widths = [max(len(str(row[i])) for row in table) for i in range(len(table[0]))]
        for row in table:
            print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")

    def isClusterRunning(self):
        """Whether servers take commands."""
        return self._client.get_lifecyle_state() == 1 and bool(self._cluster.get_engines())

    def init_cluster(self, clusterfile=None, project=None):
        """As start_cluster; `project` names nothing here and must be left out."""
        if project is not None:
            _post(2, "init_cluster", f"project={project!r}: servers work in the directories that they were started in")
        self._cluster.start_cluster(clusterfile)

    def start_cluster(self):
        """Makes the servers take commands."""
        self._cluster.start_cluster()

    def stop_cluster(self):
        """Ends the servers."""
        self._cluster.stop_cluster()

    def do_and_record(self, cmd, id=None, group="", subMS=""):
        """Runs a command on server `id` or any, without waiting; numbers of the requests.

        group and subMS name the job in CASA's older versions; they change nothing there or here.
        """
        return self._cluster.odo(cmd, id)

    def get_engine_store(self, id):
        """Working directory of a server."""
        responses = self._client.push_command_request("os.getcwd()", True, id)
        if not responses:
            raise ValueError(f"Server #{id} does not exist")
        return responses[0]["ret"]

    def get_status(self):
        """Prints a table of all requests, and returns it as a list of rows."""
        responses = self._cluster.get_command_response_list()
        servers = self._cluster.get_server_status()
        table = [_HEAD]
        for i, request in self._cluster.get_command_request_list().items():
            response = responses.get(i)
            rank = request["server"]
            host = servers[rank]["processor"] if rank else ""
            if response and response["command_start_time"]:
                elapsed = response["command_stop_time"] - response["command_start_time"]
            elif rank and servers[rank]["busy"] and request["status"] == "request sent":
                elapsed = time.time() - servers[rank]["command_start_time"]
            else:
                elapsed = 0.0
            table.append([str(i), str(rank or ""), host, request["status"], request["command"], f"{elapsed:.2f}",
                          _state_of(request, response)])
        MPIInterface.print_table(table)
        return table

    def set_log_level(self, log_level):
        """As MPICommandClient.set_log_level."""
        self._client.set_log_level(log_level)


simple_cluster = MPIInterface
