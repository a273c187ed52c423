# SPDX-License-Identifier: GPL-3.0-or-later
"""MPICommandClient: Python commands on the servers, with CASA's methods and answers."""

import atexit
import functools
import threading
import time
import traceback

from sheaf import _core, ownwork, wire
from sheaf.casalog import casalog
from sheaf.environment import MPIEnvironment
from sheaf.errors import Error

_QUEUED, _SENT, _ANSWERED, _SILENT, _FAILED = range(5)
_STATUS = {_QUEUED: "holding queue", _SENT: "request sent", _ANSWERED: "response received",
           _SILENT: "timeout", _FAILED: "server lost"}
_LOG_MODES = ("unified", "separated", "redirect")
_LEVELS = ("DEBUG", "DEBUG1", "DEBUG2", "NORMAL", "INFO",
           *(f"{name}{i}" for name in ("NORMAL", "INFO") for i in range(1, 6)))


@functools.lru_cache(maxsize=1024)
def _mode_of(command):
    """'eval', 'exec' or 'push'; raises what the compiler raises when it is no Python."""
    if command == "push":
        return "push"
    try:
        compile(command.strip(), "<command>", "eval")
        return "eval"
    except SyntaxError:
        compile(command, "<command>", "exec")
        return "exec"


class _Answers(threading.Event):
    """An event that is set when all these requests have an answer."""

    def __init__(self, client, ids):
        super().__init__()
        self._client, self._ids = client, ids

    def is_set(self):
        return super().is_set() or self.wait(0)

    isSet = is_set

    def wait(self, timeout=None):
        if not super().is_set() and self._client.await_answers(self._ids, -1 if timeout is None else timeout):
            self.set()
        return super().is_set()


class _Client:
    """The one client of this process."""

    def __init__(self):
        self.state = 0  # 1: started, 2: stopped, for good
        self.log_mode = "unified"
        self._requests = {}
        self._repeatable = set()  # requests that were pushed with retry
        self._responses = {}
        self._silent = {}  # responses that stand in for those of silent servers
        self._resources = {}  # rank: (bytes, threads) when its last command ended
        self._lock = threading.Lock()
        self._start_lock = threading.Lock()

    def _post(self, level, method, text):
        _core.log_post(level, f"MPICommandClient::{method}", text)

    def _is_running(self, method):
        if self.state == 0:
            self._post(2, method, "MPICommandClient is not running: call start_services() first")
        elif self.state == 2:
            self._post(2, method, "MPICommandClient life cycle finalized")
        return self.state == 1

    # ---- life cycle ----

    def start_services(self):
        with self._start_lock:
            if self.state == 0:
                _core.command_start()
                self.state = 1
                atexit.register(self._report_pending)
                if self.log_mode != "unified":
                    self._apply_log_mode()
                self._post(1, "start_services", MPIEnvironment.mpi_info_msg)
            elif self.state == 2:
                self._post(2, "start_services", "MPICommandClient life cycle finalized")

    def _report_pending(self):
        """At the end of the program, which ends the servers."""
        if self.state == 1:
            self._report([i for i in self._requests if _core.command_look(i)[0] in (_QUEUED, _SENT)])

    def _report(self, ids):
        for i in ids:
            if _core.command_look(i)[0] in (_QUEUED, _SENT):
                self._post(2, "stop_services", f"Aborting command request with id# {i}: {self._requests[i]}")

    def stop_services(self, force_command_request_interruption=False):
        if not self._is_running("stop_services"):
            return
        pending = [i for i in self._requests if _core.command_look(i)[0] in (_QUEUED, _SENT)]
        if not force_command_request_interruption:
            sent = [i for i in pending if _core.command_look(i)[0] == _SENT]
            self._finish(sent)
        self._report(pending)
        self.state = 2
        _core.command_stop()

    def _finish(self, ids):
        """Waits for what runs; what is queued does not begin."""
        for i, request in self._requests.items():
            if _core.command_look(i)[0] == _QUEUED:
                self._post(2, "stop_services", f"Aborting command request with id# {i}: {request}")
                _core.command_interrupt(i, False)
        _core.command_wait(ids, False, -1)

    # ---- requests ----

    def _valid_targets(self, target):
        """The ranks as a list, [0] for any; None after a message."""
        if target is None:
            return [0]
        if isinstance(target, int):
            ranks = [int(target)]
        elif isinstance(target, list) and target and all(isinstance(t, int) for t in target):
            ranks = [int(t) for t in target]
        else:
            self._post(3, "validate_target_servers", f"target_server has wrong format ({type(target)}), "
                       "accepted formats are int and list(int)")
            return None
        for rank in ranks:
            status = _core.command_server(rank)
            if status is None:
                self._post(3, "validate_target_servers", f"Server #{rank} does not exist")
                return None
            if not status["alive"]:
                self._post(3, "validate_target_servers", f"Server #{rank} has ended")
                return None
            if status["silent"] and isinstance(target, list):
                self._post(3, "validate_target_servers", f"Server #{rank} is in timeout")
                return None
        return ranks

    def _prepare(self, command, parameters):
        """(mode, message); None after a message."""
        try:
            if not isinstance(command, str):
                raise TypeError(f"a command is a text, not {command!r}")
            mode = _mode_of(command)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            self._post(3, "push_command_request", "Command cannot be executed neither as a statement nor as an "
                       f"expression, it will be rejected: {traceback.format_exc()}")
            return None
        if parameters is not None and not (isinstance(parameters, dict)
                                           and all(isinstance(name, str) for name in parameters)):
            self._post(3, "push_command_request", f"parameters={parameters!r}: must be a dictionary by name; "
                       "the command is rejected")
            return None
        try:
            return mode, wire.pack((mode, command, parameters))
        except Exception:
            self._post(3, "push_command_request", "The parameters cannot be sent, the command is rejected: "
                       + traceback.format_exc())
            return None

    def push_command_request(self, command, block=False, target_server=None, parameters=None, retry=False):
        if not self._is_running("push_command_request"):
            return None
        ranks = self._valid_targets(target_server)
        prepared = ranks and self._prepare(command, parameters)
        if not prepared:
            return None
        ids = []
        try:
            if not self._push(ids, ranks, command, parameters, retry, *prepared):
                return None
            return self.get_command_response(ids, True, True) if block else ids
        except KeyboardInterrupt:
            for i in ids if block else ():
                _core.command_interrupt(i, False)
            raise

    def _push(self, ids, ranks, command, parameters, retry, mode, message):
        """Sends to each rank, and appends the numbers; False after a message."""
        for rank in ranks:
            try:
                i = _core.command_push(message, rank, retry, command[:60])
            except Error as problem:
                self._post(3, "push_command_request", f"{problem}; the command is rejected")
                return False
            ids.append(i)
            self._requests[i] = {"command": command, "parameters": parameters, "mode": mode, "id": i,
                                 "server": rank or None}
            if retry:
                self._repeatable.add(i)
        return True

    def interrupt_command_request(self, command_request_id_list, force=False):
        for i in self._known(command_request_id_list):
            _core.command_interrupt(i, force)

    # ---- responses ----

    def await_answers(self, ids, timeout_s):
        return _core.command_wait(ids, False, timeout_s)

    def _known(self, ids):
        """The numbers, all of them of requests; a number may be the list that push_command_request returned, as on CASA's page."""
        ids = [i for one in ids for i in (one if isinstance(one, list) else [one])]
        for i in ids:
            if i not in self._requests and ownwork.response_of(i) is None:
                raise KeyError(i)
        return ids

    def last_number(self):
        """The highest number of a request; 0 when there is none."""
        return max(self._requests, default=0)

    def is_undone(self, i):
        """Whether this process may do a request that no server has answered: none is left, and it is not what ends them."""
        if ownwork.response_of(i) is not None or self._response(i)["status"] != "server lost" or _core.par_nserver():
            return False
        tries = _core.command_look(i)[3]
        return tries == 0 or tries == 1 and i in self._repeatable

    def _from_answer(self, i, response):
        payload = _core.command_take(i)
        if payload is None:  # another thread has it, and will have put it there
            return self._responses.get(i)
        try:
            answer = wire.unpack(payload)
            successful, trace, value, start, stop, resources = answer
        except Exception:
            successful, value, start, stop, resources = False, None, None, time.time(), None
            trace = f"The result of the command cannot be rebuilt by the client: {traceback.format_exc()}"
        if resources:
            self._resources[response["server"]] = resources
        response.update(command_start_time=start, command_stop_time=stop, successful=successful, traceback=trace,
                        ret=value)
        return response

    def _response(self, i):
        """The answer of request i; None when there is none yet."""
        own = ownwork.response_of(i)
        if own is not None:
            return own
        if i in self._responses:
            return self._responses[i]
        state, rank, why, _ = _core.command_look(i)
        if state in (_QUEUED, _SENT):
            return None
        response = {**self._requests[i], "server": rank or self._requests[i]["server"], "status": _STATUS[state]}
        with self._lock:
            if i in self._responses:
                return self._responses[i]
            if state == _ANSWERED:
                response = self._from_answer(i, response)
            else:
                response.update(command_start_time=None, command_stop_time=time.time(), successful=False,
                                traceback=why, ret=None)
            known = self._silent.get(i)
            if state == _SILENT:  # it may still answer
                self._silent[i] = response
            else:
                self._responses[i] = response
        if state != _ANSWERED and known is None:  # the server itself has logged what it could answer
            self._post(3, "command_response_handler_service", f"Command request with id {i} failed in server n# "
                       f"{response['server']} with traceback {response['traceback']}")
        return response

    def get_command_response(self, command_request_id_list, block=False, verbose=True):
        ids = self._known(command_request_id_list)
        if block:
            _core.command_wait(ids, False, -1)
        responses = []
        for i in ids:
            response = self._response(i)
            if response is not None:
                responses.append(response)
            elif verbose:
                self._post(1, "get_command_response", f"Command response with id {i} not available yet")
        return responses

    def get_command_response_event(self, command_request_id_list):
        return _Answers(self, self._known(command_request_id_list))

    def wait_for_command_request_sent(self, command_request_id_list):
        _core.command_wait(self._known(command_request_id_list), True, -1)

    def get_command_request_list(self):
        result = {}
        for i, request in list(self._requests.items()):
            state, rank, _, _ = _core.command_look(i)
            result[i] = {**request, "server": rank or request["server"], "status": _STATUS[state]}
        fields = ("command", "parameters", "mode", "id", "server", "status")
        return {**result, **{i: {name: own[name] for name in fields} for i, own in ownwork.responses().items()}}

    def get_command_response_list(self):
        for i in list(self._requests):
            self._response(i)
        return {**self._responses, **ownwork.responses()}

    # ---- servers ----

    def _status(self, rank):
        s = _core.command_server(rank)
        request = s["request"]
        command = self._requests[request]["command"] if request in self._requests else None
        if s["unit"]:
            command = s["what"]
        memory, threads = self._resources.get(rank, (None, None))  # of another host: when its last command ended
        return {"rank": rank, "processor": s["host"], "pid": s["pid"], "busy": bool(request or s["unit"]),
                "command": command, "command_start_time": s["since"] or None,
                "pong_pending": s["unanswered"] > 0, "ping_time": s["ping_time"] or None,
                "pong_time": s["heard_time"], "pong_checks": s["unanswered"],
                "timeout": self.state != 2 and (s["silent"] or not s["alive"]),
                "alive": self.state != 2 and s["alive"], "requests_done": s["done"],
                "memory": s["memory"] or memory, "threads": s["threads"] or threads}

    def get_server_status(self, server=None):
        if server is None:
            return {rank: self._status(rank) for rank in MPIEnvironment.mpi_server_rank_list()}
        if server not in MPIEnvironment.mpi_server_rank_list():
            self._post(3, "get_server_status", f"Server #{server} does not exist")
            return None
        return self._status(server)

    def set_log_mode(self, logmode):
        if logmode not in _LOG_MODES:
            self._post(2, "set_log_mode", f"logmode={logmode!r}: must be one of {', '.join(_LOG_MODES)}; "
                       f"it stays {self.log_mode}")
            return
        self.log_mode = logmode
        if self.state == 1:
            self._apply_log_mode()

    def _apply_log_mode(self):
        """Gives each server a log file of its own, or none."""
        log = _core.log_open()
        if self.log_mode != "unified" and not log:
            self._post(2, "set_log_mode", f"there is no log file, so that servers have none of their own: "
                       f"{self.log_mode} is as unified")
        for rank, status in self.get_server_status().items():
            if status["timeout"]:
                continue
            path = f"{log}-server-{rank}-host-{status['processor']}-pid-{status['pid']}"
            if self.log_mode == "unified" or not log:
                path = None
            self.push_command_request(f"sheaf._core.log_own({path!r}, {self.log_mode == 'redirect'})", True, rank)

    def set_log_level(self, log_level):
        if log_level not in _LEVELS:
            self._post(2, "set_log_level", f"Unrecognized log level {log_level!r}, must be one of "
                       + ", ".join(_LEVELS))
            return
        casalog.filter(log_level)
        if self.state == 1:
            self._on_all(f"casalog.filter({log_level!r})")

    def _on_all(self, command):
        alive = [rank for rank, s in self.get_server_status().items() if not s["timeout"]]
        if alive:
            self.push_command_request(command, True, alive)

    def _ask(self, command, target_server):
        """One value for one server or any, a list for a list."""
        responses = self.push_command_request(command, True, target_server)
        if responses is None:
            return None
        values = [response["ret"] for response in responses]
        return values if len(values) > 1 else values[0]

    def set_omp_num_threads(self, omp_max_threads, target_server):
        self._ask(f"self.omp_set_num_threads({omp_max_threads!r})", target_server)

    def setMemoryTotal(self, memory, target_server):
        self._ask(f"casalog.setMemoryTotal({memory!r})", target_server)

    def setMemoryFraction(self, memfrac, target_server):
        self._ask(f"casalog.setMemoryFraction({memfrac!r})", target_server)

    def setNumCPUs(self, numCPUs, target_server):
        self._ask(f"casalog.setNumCPUs({numCPUs!r})", target_server)

    def getMemoryTotal(self, use_aipsrc, target_server):
        return self._ask(f"casalog.getMemoryTotal({use_aipsrc!r})", target_server)

    def getNumCPUs(self, use_aipsrc, target_server):
        return self._ask(f"casalog.getNumCPUs({use_aipsrc!r})", target_server)


_CLIENT = _Client() if MPIEnvironment.is_mpi_client else None


class MPICommandClient:
    """Sends Python commands to the servers and collects their answers.

    Every object of this class is the same client. What is refused is logged and returns None, as in CASA.
    """

    def __init__(self, start_services=False):
        if not MPIEnvironment.is_mpi_enabled:
            raise RuntimeError("MPI is not enabled: there are no servers; start with mpisheaf -n 2 or more")
        if _CLIENT is None:
            raise RuntimeError("MPICommandClient cannot be instantiated at server MPI processes")
        if start_services:
            _CLIENT.start_services()

    def get_lifecyle_state(self):
        """0: not started, 1: started, 2: stopped."""
        return _CLIENT.state

    def start_services(self):
        """Makes the servers take commands."""
        _CLIENT.start_services()

    def stop_services(self, force_command_request_interruption=False):
        """Ends the servers, after what runs there has ended, or at once; later tasks run in this process."""
        _CLIENT.stop_services(force_command_request_interruption)

    def push_command_request(self, command, block=False, target_server=None, parameters=None, retry=False):
        """Runs Python on one server (None: the first free one), or on each of a list.

        command: an expression, whose value comes back; statements; or 'push', which only sets variables.
        block: waits, and returns a list of responses; else a list of numbers for get_command_response.
        parameters: variables for the command by name; with 'f()' the arguments of f.
        retry: once more on another server if its server dies; for commands that may be done twice.
        """
        return _CLIENT.push_command_request(command, block, target_server, parameters, retry)

    def get_command_response(self, command_request_id_list, block=False, verbose=True):
        """The responses to these requests; unless block only those that are there."""
        return _CLIENT.get_command_response(command_request_id_list, block, verbose)

    def get_command_response_event(self, command_request_id_list):
        """A threading.Event that is set when all these requests have an answer."""
        return _CLIENT.get_command_response_event(command_request_id_list)

    def interrupt_command_request(self, command_request_id_list, force=False):
        """Raises KeyboardInterrupt in these commands; with force their servers are killed. Not in CASA."""
        _CLIENT.interrupt_command_request(command_request_id_list, force)

    def wait_for_command_request_sent(self, command_request_id_list):
        """Returns when none of these requests is in the queue any more."""
        _CLIENT.wait_for_command_request_sent(command_request_id_list)

    def get_command_request_list(self):
        """All requests by number."""
        return _CLIENT.get_command_request_list()

    def get_command_response_list(self):
        """All responses so far by number."""
        return _CLIENT.get_command_response_list()

    def get_server_status(self, server=None):
        """What is known of one server, or of all by rank."""
        return _CLIENT.get_server_status(server)

    def set_server_timeout(self, seconds):
        """How long a server may give no sign of life; 0: for ever. Not in CASA."""
        _core.command_grace(float(seconds))

    def set_log_mode(self, logmode):
        """'unified': one log; 'separated': one file per server; 'redirect': both."""
        _CLIENT.set_log_mode(logmode)

    def set_log_level(self, log_level):
        """Drops messages below a priority, here and on the servers."""
        _CLIENT.set_log_level(log_level)

    def set_omp_num_threads(self, omp_max_threads, target_server):
        """Number of OpenMP threads of servers."""
        _CLIENT.set_omp_num_threads(omp_max_threads, target_server)

    def setMemoryTotal(self, memory, target_server):
        """Memory in GB that servers may take for theirs; -1: all."""
        _CLIENT.setMemoryTotal(memory, target_server)

    def setMemoryFraction(self, memfrac, target_server):
        """The same as a percentage of the host's memory."""
        _CLIENT.setMemoryFraction(memfrac, target_server)

    def setNumCPUs(self, numCPUs, target_server):
        """Number of cores that servers may use."""
        _CLIENT.setNumCPUs(numCPUs, target_server)

    def getMemoryTotal(self, use_aipsrc, target_server):
        """Memory in kB of the host, or as it was set."""
        return _CLIENT.getMemoryTotal(use_aipsrc, target_server)

    def getNumCPUs(self, use_aipsrc, target_server):
        """Number of cores of the host, or as it was set."""
        return _CLIENT.getNumCPUs(use_aipsrc, target_server)
