# SPDX-License-Identifier: GPL-3.0-or-later
"""ParallelTaskHelper: makes a task of one's own parallel over the sub-MSs of a Multi-MS, as CASA's class of this name.

    def mytask(vis, field=''):
        if ParallelTaskHelper.isParallelMS(vis):
            return ParallelTaskHelper('mytask', locals()).go()
        ...                                     # the task for one MS

`go` calls initialize, generateJobs, executeJobs and postExecution; a derived class may replace each.
"""

import copy
import importlib
import os
import sys
import threading

from sheaf import _core, ownwork
from sheaf.casalog import casalog
from sheaf.environment import MPIEnvironment
from sheaf.errors import EmptyError, Error, ParameterError

_NULL_SELECTION = ("MSSelectionNullSelection", "EmptyError")


def _post(text, level="INFO"):
    casalog.post(text, level, "ParallelTaskHelper")


class JobData:
    """One call of a task: its name, arguments, and what it returned."""

    def __init__(self, commandName, commandInfo=None):
        self._commands = {commandName: dict(commandInfo or {})}
        self._values = []

    def addCommand(self, commandName, commandInfo):
        """Another call, done after the first."""
        self._commands[commandName] = dict(commandInfo)

    def getCommandNames(self):
        """Names of the tasks."""
        return list(self._commands)

    def getCommandArguments(self, commandName=None):
        """Arguments of a task, by default of the only one."""
        if commandName is not None:
            return self._commands[commandName]
        values = list(self._commands.values())
        return values[0] if len(values) == 1 else self._commands

    def getCommandLine(self):
        """The calls as Python."""
        return "; ".join(f"{name}({', '.join(f'{k} = {v!r}' for k, v in args.items())})"
                         for name, args in self._commands.items())

    def setReturnValues(self, valueList):
        """What the calls returned."""
        self._values = list(valueList)

    def getReturnValues(self):
        """What the calls returned; the value itself when there is one."""
        return self._values[0] if len(self._values) == 1 else self._values


def _find_task(name):
    """The function behind a task's name, where the script, Sheaf, or CASA (if it is loaded) has it."""
    for module in ("__main__", "sheaf", "casatasks"):
        found = getattr(sys.modules.get(module), name, None)
        if callable(found):
            return found
    raise ParameterError(f"{name}: no such task in the script or in Sheaf")


def _says_empty(text):
    """Whether a traceback ends in an error that only says that a selection matches nothing."""
    return any(word in text.rpartition('\n  File "')[2] for word in _NULL_SELECTION)


def _bytes_of(path):
    """A measure of the work that an MS makes: the size of its main table."""
    try:
        with os.scandir(path) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries if entry.is_file())
    except OSError:
        return 0


class ParallelTaskHelper:
    """One run of a task over a Multi-MS.

    Derived classes may use `_arg` (the arguments), `_executionList` (JobData), `_consolidateOutput` (False: the results
    stay a dictionary by sub-MS or outputvis), `_cluster` (the MPICommandClient, None when this process does the work) and
    `_command_request_id_list`.
    """

    _bypass = 0
    _async = False
    _multithreading = False

    def __init__(self, task_name, args={}):
        self._taskName = task_name
        self._arg = {k: v for k, v in dict(args).items() if not k.startswith("__")}
        self._arguser = {}
        self._executionList = []
        self._command_request_id_list = []  # in the order of the jobs; None: no server took that
        self._sequential_return_list = {}  # of jobs in this process, by outputvis or vis
        self._consolidateOutput = True
        self._repeatable = True
        self._mpi_cluster = self.isMPIEnabled() and ParallelTaskHelper._bypass == 0
        self._cluster = None

    def override_arg(self, arg, value):
        """Gives an argument another value in each job: a list by job, or one value for all."""
        self._arguser[arg] = value

    def setRepeatable(self, repeatable=True):
        """False: a job is not given to another server when its server died, because doing it twice does harm. Not in CASA."""
        self._repeatable = bool(repeatable)

    def initialize(self):
        """Makes vis absolute, and starts the services."""
        self._arg["vis"] = os.path.abspath(self._arg["vis"])
        self._start_services()

    def _start_services(self):
        if not self._mpi_cluster:
            return
        from sheaf.command import MPICommandClient

        self._cluster = MPICommandClient(start_services=True)
        if self._cluster.get_lifecyle_state() != 1 or not self.getNumberOfServers():
            _post("no server is left; this process does the work itself", "WARN")
            self._mpi_cluster = False
            self._cluster = None

    def getNumberOfServers(self):
        """Servers that are in order; None without MPI."""
        return _core.par_nserver() if self.isMPIEnabled() else None

    def generateJobs(self):
        """One job per sub-MS, with the same arguments but vis. False, after a warning, when vis is no Multi-MS."""
        vis = self._arg["vis"]
        if not _core.mms_is(vis):
            _post(f"{vis} is no Multi-MS", "WARN")
            return False
        for i, name in enumerate(self.getReferencedMSs(vis)):
            self._executionList.append(JobData(self._taskName, {**copy.deepcopy(self._arg), "vis": name, **self._own_args(i)}))
        return True

    def _own_args(self, i):
        """What override_arg has set for a job."""
        return {arg: value[i] if isinstance(value, list) else value for arg, value in self._arguser.items()}

    def executeJobs(self):
        """Hands the jobs to the servers, those with most data first, or does them here one after the other."""
        calls = [(name, job.getCommandArguments(name)) for job in self._executionList for name in job.getCommandNames()]
        self._executionList = []
        if self._is_async():
            self._command_request_id_list += [self._start(*call) for call in calls]
            return
        if not self._mpi_cluster:
            for name, args in calls:
                self._run_here(name, args)
            return
        ids = [None] * len(calls)
        order = sorted(range(len(calls)), key=lambda i: -_bytes_of(calls[i][1].get("vis", "")))
        for i in order:
            ids[i] = self._push(*calls[i])
        self._command_request_id_list += ids
        self._calls = calls

    def _is_async(self):
        return ParallelTaskHelper._async and not ParallelTaskHelper._bypass

    def _start(self, name, args):
        """The number of the request; where there is no server, this process has done it when this returns."""
        i = self._push(name, args) if self._mpi_cluster else None
        return self._answer_here(f"{name}()", args, lambda: _find_task(name)(**args)) if i is None else i

    @classmethod
    def _answer_here(cls, command, args, work):
        client = cls._client()
        return ownwork.answer(command, args, work, client.last_number if client else int)

    @staticmethod
    def _client():
        """What keeps the requests to servers; None without MPI."""
        from sheaf import command

        return command._CLIENT

    def _push(self, name, args):
        """The number of the request; None when no server is left."""
        ids = self._cluster.push_command_request(f"{self._command_of(name)}()", False, None, args, self._repeatable)
        if ids is None and self.getNumberOfServers():
            raise ParameterError(f"{name}: the arguments cannot be sent to a server (the log says why)")
        return ids[0] if ids else None

    @staticmethod
    def _command_of(name):
        """The task as the servers know it; one from a module is imported there."""
        try:
            module = _find_task(name).__module__
        except ParameterError:
            return name  # the servers may have it
        if module in ("__main__", "sheaf") or module.startswith("casatasks"):
            return name
        importlib.import_module(module)
        return f"__import__('importlib').import_module({module!r}).{name}"

    @staticmethod
    def _key(args):
        return args.get("outputvis") or args["vis"]

    def _keep(self, results, args, value):
        results[self._key(args)] = True if "outputvis" in args or value is None else value

    def _run_here(self, name, args):
        try:
            self._keep(self._sequential_return_list, args, _find_task(name)(**args))
        except Exception as problem:
            if not any(word in f"{type(problem).__name__}: {problem}" for word in _NULL_SELECTION):
                raise
            _post(f"Ignoring NullSelection error from {args['vis']}")

    def postExecution(self):
        """Waits for the jobs; the consolidated result. A failed job raises an Error that names its sub-MS."""
        results = self._get_results()
        if not results:
            raise EmptyError(f"{self._taskName}: MSSelectionNullSelection : the selection matches nothing in any sub-MS")
        return self.consolidateResults(results, self._taskName) if self._consolidateOutput else results

    def _get_results(self):
        """What the jobs returned, in their order; those that selected nothing are left out."""
        if self._mpi_cluster:
            self._await_jobs()
        results, self._sequential_return_list = self._sequential_return_list, {}
        return results

    def _await_jobs(self):
        ids = self._command_request_id_list
        sent = [i for i in ids if i is not None]
        try:
            responses = dict(zip(sent, self._cluster.get_command_response(sent, True)))
        except KeyboardInterrupt:
            self._cluster.interrupt_command_request(sent)
            raise
        failures = []
        for i, (name, args) in zip(ids, self._calls):
            if i is None or self._is_undone(i, responses[i]):
                self._run_here(name, args)
            else:
                self._take(responses[i], failures)
        if failures:
            raise Error("\n".join(failures))

    def _is_undone(self, i, response):
        """Whether this process is to do a job, because no server is left, and the job is not what ends them."""
        if response["status"] != "server lost" or self.getNumberOfServers():
            return False
        tries = _core.command_look(i)[3]
        return tries == 0 or tries == 1 and self._repeatable

    def _take(self, response, failures):
        args, trace = response["parameters"], response["traceback"]
        if response["successful"]:
            self._keep(self._sequential_return_list, args, response["ret"])
        elif trace and _says_empty(trace):
            _post(f"Ignoring NullSelection error from {args['vis']}")
        else:
            kind = "Multi-MS" if _core.mms_is(args["vis"]) else "sub-MS"
            where = "" if response["server"] is None else f" on MPIServer-{response['server']}"
            failures.append(f"{self._taskName} failed for {kind} {args['vis']}{where}: {trace}")

    def go(self):
        """Does it all; the result, False when vis is no Multi-MS, or with setAsyncMode the numbers of the requests."""
        self.initialize()
        if not self.generateJobs():
            return False
        self.executeJobs()
        if self._is_async():
            return list(self._command_request_id_list)
        return self.postExecution()

    @classmethod
    def pushTask(cls, task, args, work, repeatable=False):
        """Starts one of Sheaf's tasks over a Multi-MS on a server: a list with the number of its request.

        The task stays whole, so that it does what it does without asynchronous mode. Where there is no server, work(task, args)
        does it before this returns. None when servers are not to be used, or vis is no Multi-MS. Not in CASA.
        """
        vis = args.get("vis")
        if cls._bypass or not cls.isParallelMS(vis):
            return None
        helper = cls(task, {**args, "vis": os.fspath(vis)})
        helper.setRepeatable(repeatable)
        helper.initialize()
        command = f"__import__('sheaf.tasks').tasks.in_folder({task!r}, {os.getcwd()!r})()"
        ids = helper._mpi_cluster and helper._cluster.push_command_request(command, False, None, helper._arg, repeatable)
        if ids:
            return ids
        if helper._mpi_cluster and helper.getNumberOfServers():
            raise ParameterError(f"{task}: the arguments cannot be sent to a server (the log says why)")
        return [cls._answer_here(command, helper._arg, lambda: work(task, helper._arg))]

    # ---- results ----

    @staticmethod
    def consolidateResults(ret_list, taskname):
        """One value of many: all() of booleans, the sum of dictionaries; None of anything else."""
        values = list(ret_list.values())
        if values and isinstance(values[0], bool):
            for name, value in ret_list.items():
                if not value:
                    _post(f"{taskname} failed for sub-MS {name}", "WARN")
            return all(values)
        found = [value for value in values if isinstance(value, dict)]
        if not found:
            return None
        total = {}
        for value in found:
            total = ParallelTaskHelper.combine_dictionaries(value, total)
        return ParallelTaskHelper.finalize_consolidate_results(total)

    @staticmethod
    def combine_dictionaries(dict_list, ret_dict):
        """Adds a report to a sum of reports, which is changed and returned: numbers add up, texts and `nreport` stay."""
        rflag = dict_list.get("type") == "rflag" and dict_list.get("name") == "Rflag"
        for key, item in dict_list.items():
            if rflag and key in ("freqdev", "timedev"):
                _gather_thresholds(ret_dict.setdefault(key, {}), item)
            elif isinstance(item, dict):
                ret_dict[key] = ParallelTaskHelper.combine_dictionaries(item, ret_dict.get(key, {}))
            elif key not in ret_dict or rflag:
                ret_dict[key] = copy.deepcopy(item)
            elif not isinstance(item, str) and key != "nreport":
                ret_dict[key] = ret_dict[key] + item
        return ret_dict

    @staticmethod
    def finalize_consolidate_results(ret):
        """Replaces gathered thresholds of rflag by their medians, as rows [spw, field, value]."""
        for key, item in ret.items():
            if key in ("freqdev", "timedev") and isinstance(item, dict):
                ret[key] = _median_thresholds(item)
            elif isinstance(item, dict):
                ParallelTaskHelper.finalize_consolidate_results(item)
        return ret

    @staticmethod
    def getResult(command_request_id_list, taskname):
        """The consolidated result of an asynchronous run, for which it waits.

        What no server has done when the last one ended is done here, unless it may be what ended it.
        """
        helper, failures = ParallelTaskHelper(taskname), []
        for response in helper._responses(list(command_request_id_list)):
            helper._take(response, failures)
        if failures:
            raise Error("\n".join(failures))
        return ParallelTaskHelper.consolidateResults(helper._sequential_return_list, taskname)

    def _responses(self, ids):
        """The responses to these requests, of servers and of this process."""
        client = self._client()
        if client is None:
            found = [ownwork.response_of(i) for i in ids]
            if None in found:
                raise KeyError(ids[found.index(None)])
            return found
        for response in client.get_command_response(ids, True):
            if client.is_undone(response["id"]):
                self._do_undone(client, response)
        return client.get_command_response(ids, True)

    def _do_undone(self, client, response):
        """Answers a request that was never begun, or that may be begun again, when no server is left."""
        _post("no server is left; this process does the work itself", "WARN")
        command, args = response["command"], response["parameters"]
        work = lambda: eval(command[:-2], ParallelTaskWorker.getEnvironment())(**args)  # it ends in ()
        i = response["id"]
        ownwork.answer(command, args, work, client.last_number, i)

    # ---- the Multi-MS ----

    @staticmethod
    def getReferencedMSs(vis):
        """Paths of the sub-MSs, in their order."""
        return _core.mms_members(vis)

    @staticmethod
    def isParallelMS(vis):
        """Whether a task should distribute its work: vis is a Multi-MS, and this process no server."""
        if not MPIEnvironment.is_mpi_disabled_or_client() or ParallelTaskHelper._bypass == 2:
            return False
        return isinstance(vis, (str, os.PathLike)) and _core.mms_is(os.fspath(vis))

    @staticmethod
    def restoreSubtableAgreement(vis, mastersubms="", subtables=None):
        """Makes the sub-tables of all sub-MSs those of the master (default: that to which the Multi-MS's ANTENNA leads).

        Sub-tables that are links lead to the master's afterwards; real ones become copies of the master's.
        """
        members = _core.mms_members(os.path.abspath(vis))
        leads_to = os.path.dirname(os.path.realpath(os.path.join(vis, "ANTENNA")))
        master = os.path.abspath(mastersubms) if mastersubms else leads_to
        known = _core.mms_subtables(master)
        for name in subtables or ():
            if name not in known:
                raise ParameterError(f"{name} is not a subtable of {master}")
        for member in members:
            if os.path.realpath(member) == os.path.realpath(master):
                continue
            for name in subtables or known:
                _agree(os.path.join(member, name), os.path.join(master, name))
        return True

    # ---- modes ----

    @staticmethod
    def bypassParallelProcessing(switch=1):
        """0: servers do the work; 1: this process, sub-MS by sub-MS; 2: a Multi-MS is treated as one MS."""
        if switch not in (0, 1, 2):
            raise ParameterError(f"switch={switch!r}: must be 0, 1 or 2")
        ParallelTaskHelper._bypass = switch

    @staticmethod
    def getBypassParallelProcessing():
        """What bypassParallelProcessing has set."""
        return ParallelTaskHelper._bypass

    @staticmethod
    def setAsyncMode(async_mode=False):
        """With True, go, and flagdata of a Multi-MS, return the numbers of the requests at once; see getResult."""
        ParallelTaskHelper._async = bool(async_mode)

    @staticmethod
    def getAsyncMode():
        """What setAsyncMode has set."""
        return ParallelTaskHelper._async

    @staticmethod
    def setMultithreadingMode(multithreading=False):
        """For scripts that run tasks in several threads; here that is always possible."""
        ParallelTaskHelper._multithreading = bool(multithreading)

    @staticmethod
    def getMultithreadingMode():
        """What setMultithreadingMode has set."""
        return ParallelTaskHelper._multithreading

    @staticmethod
    def isMPIEnabled():
        """Whether there are servers, or this is one."""
        return MPIEnvironment.is_mpi_enabled

    @staticmethod
    def isMPIClient():
        """Whether this process has servers."""
        return MPIEnvironment.is_mpi_client

    # ---- texts ----

    @staticmethod
    def findAbsPath(input):
        """A path, or the paths of a list, made absolute; all else as it is."""
        if isinstance(input, str):
            return os.path.abspath(input) if input else input
        if isinstance(input, list):
            return [ParallelTaskHelper.findAbsPath(item) for item in input]
        return input

    @staticmethod
    def listToCasaString(inputList):
        """Integers as a selection: [1, 2, 3, 5] is '1~3,5'."""
        parts = []
        for number in sorted({int(n) for n in inputList}):
            if parts and parts[-1][1] == number - 1:
                parts[-1][1] = number
            else:
                parts.append([number, number])
        return ",".join(str(a) if a == b else f"{a}~{b}" for a, b in parts)


class ParallelTaskWorker:
    """Evaluates an expression, such as the call of a task, in a thread: several tasks share the servers at one time."""

    def __init__(self, cmd):
        self._code = compile(cmd.strip(), "ParallelTaskWorker", "eval")
        self._names = self.getEnvironment()
        self._thread = self._value = self._problem = None

    @staticmethod
    def getEnvironment():
        """What the expression may name: tasks, and what the script has defined."""
        import sheaf

        names = {name: getattr(sheaf, name) for name in sheaf.__all__}
        casa = sys.modules.get("casatasks")
        names.update({name: value for name, value in vars(casa).items() if name not in names} if casa else {})
        names.update(vars(sys.modules["__main__"]))
        return names

    def start(self):
        """Starts the thread."""
        self._thread = threading.Thread(target=self.runCmd, daemon=True)
        self._thread.start()

    def runCmd(self):
        """What the thread does."""
        try:
            self._value = eval(self._code, self._names)
        except BaseException as problem:  # for getResult
            self._problem = problem

    def getResult(self):
        """Waits for the value. An exception of the expression is raised here; before start, None after a warning."""
        if self._thread is None:
            _post("the worker has not been started", "WARN")
            return None
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._value


def _agree(place, table):
    """Makes a sub-table a link to another, or a copy of it, without a moment in which it is not there."""
    if os.path.islink(place):
        fresh = place + ".sheaf-new"
        if os.path.lexists(fresh):
            os.remove(fresh)
        os.symlink(os.path.relpath(table, os.path.dirname(place)), fresh)
        os.replace(fresh, place)
    elif os.path.isdir(place):
        _core.subtable_replace(place, table)
    else:
        _core.tree_copy(os.path.realpath(table), place)


def _gather_thresholds(sums, rows):
    """Adds rows [spw, field, value] to {(spw, field): [values]}."""
    for spw, field, value in rows:
        sums.setdefault((spw, field), []).append(value)


def _median_thresholds(sums):
    import numpy

    rows = [[spw, field, float(numpy.median(values))] for (spw, field), values in sorted(sums.items())]
    return numpy.array(rows) if rows else numpy.zeros((0, 3))
