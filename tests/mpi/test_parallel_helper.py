# SPDX-License-Identifier: GPL-3.0-or-later
"""ParallelTaskHelper: a task of one's own over the sub-MSs of a Multi-MS, alone and on servers."""

import os

import numpy
import pytest

pytest.importorskip("casacore.tables")
import inputs  # noqa: E402
from commands import run  # noqa: E402

TASKS = '''
import os
import sheaf
from sheaf import ParallelTaskHelper

def count(vis, bad="", empty="", kind="dict", kill=""):
    if ParallelTaskHelper.isParallelMS(vis):
        return ParallelTaskHelper("count", locals()).go()
    if bad and vis.endswith(bad):
        raise ValueError("bad luck")
    if empty in ("all", vis[-7:]):
        raise RuntimeError("MSSelectionNullSelection : The selected table has zero rows.")
    if kill and vis.endswith(kill):
        os._exit(1)
    rows = sheaf.listobs(vis=vis)["numrecords"]
    return {"rows": rows, "name": "x", "nreport": 1, "sub": {"ms": 1.5}} if kind == "dict" else rows < 7000
'''
SCRIPT = """
import json, os, sheaf
from sheaf import ParallelTaskHelper
from mytasks import count
def show(**values):
    print("@" + json.dumps(values), flush=True)
def error(*args, **named):
    try:
        return count("a.mms", *args, **named)
    except sheaf.Error as problem:
        return [type(problem).__name__, str(problem)]
    except ValueError as problem:
        return ["ValueError", str(problem)]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("helper")
    (path / "mytasks.py").write_text(TASKS)
    head = f"import sheaf\nsheaf.partition(vis={inputs.ngc5921()!r}, outputvis='a.mms', separationaxis='scan', numsubms=3)\n"
    run("", ranks=1, head=head, cwd=path)
    return path


@pytest.mark.parametrize("ranks", (1, 3))
def test_results_are_consolidated(folder, ranks):
    """22653 is what CASA's listobs says of the whole MS."""
    s = run("""
        show(mms=ParallelTaskHelper.isParallelMS("a.mms"), ms=ParallelTaskHelper.isParallelMS("mytasks.py"),
             none=ParallelTaskHelper.isParallelMS("nothing"))
        show(sum=count("a.mms"), all=count("a.mms", kind="bool"), some=count("a.mms", empty="0001.ms"))
        show(bad=error(bad="0001.ms"), empty=error(empty="all"))
        ParallelTaskHelper.bypassParallelProcessing(1)
        show(here=count("a.mms"))
        ParallelTaskHelper.bypassParallelProcessing(2)
        show(whole=count("a.mms")["sub"], mode=ParallelTaskHelper.getBypassParallelProcessing())
        """, ranks=ranks, head=SCRIPT, cwd=folder, PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")
    assert (s["mms"], s["ms"], s["none"]) == (True, False, False)
    assert s["sum"] == s["here"] == {"rows": 22653, "name": "x", "nreport": 1, "sub": {"ms": 4.5}}
    assert s["all"] is False and s["whole"] == {"ms": 1.5} and s["mode"] == 2
    assert s["some"]["sub"] == {"ms": 3.0} and s["some"]["rows"] < 22653
    assert s["bad"][0] == ("Error" if ranks > 1 else "ValueError") and "bad luck" in s["bad"][1]
    assert ranks == 1 or "a.mms.0001.ms on MPIServer-" in s["bad"][1]
    assert s["empty"][0] == "EmptyError"


def test_asynchronous_and_overrides(folder):
    s = run("""
        ParallelTaskHelper.setAsyncMode(True)
        ids = count("a.mms")
        from sheaf import MPICommandClient
        MPICommandClient().get_command_response(ids, True)
        show(ids=ids, sum=ParallelTaskHelper.getResult(ids, "count")["rows"])
        ParallelTaskHelper.setAsyncMode(False)
        helper = ParallelTaskHelper("count", {"vis": "a.mms"})
        helper.override_arg("empty", ["0000.ms", "", "0002.ms"])
        helper.override_arg("kind", "dict")
        show(one=helper.go()["sub"])
        show(false=ParallelTaskHelper("count", {"vis": "mytasks.py"}).go())
        show(lost=error(kill="0002.ms"), after=count("a.mms")["rows"])
        """, head=SCRIPT, cwd=folder, PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")
    assert sorted(s["ids"]) == [1, 2, 3] and s["sum"] == 22653 and s["one"] == {"ms": 1.5} and s["false"] is False
    assert s["lost"][0] == "Error" and "exit status 1" in s["lost"][1]
    assert s["after"] == 22653  # the server that is left does it


def test_flagdata_asynchronously(folder):
    """The tasks run elsewhere, in the script's folder; reports and flags are those of calls that wait."""
    (folder / "sub").mkdir()
    s = run("""
        import shutil
        from sheaf import MPICommandClient, flagdata
        helper, client = ParallelTaskHelper, MPICommandClient()
        shutil.copytree("a.mms", "sub/b.mms", symlinks=True)
        shutil.copytree("a.mms", "sub/c.mms", symlinks=True)
        os.chdir("sub")
        flag = dict(mode="manual", antenna="2", savepars=True, outfile="b.txt", flagbackup=True)
        helper.setAsyncMode(True)
        ids = [flagdata("b.mms", mode="summary"), flagdata(vis="c.mms", mode="summary"), flagdata(vis="b.mms", action="")]
        client.get_command_response(ids[0] + ids[1], True)
        reports = [helper.getResult(i, "flagdata") for i in ids[:2]]
        change = flagdata(vis="b.mms", **flag)
        r = client.get_command_response(change, True)
        bad = flagdata(vis="b.mms", mode="bogus")
        r += client.get_command_response(bad, True)
        try:
            helper.getResult(bad, "flagdata")
        except sheaf.Error as problem:
            why = str(problem)
        helper.bypassParallelProcessing(1)
        here = flagdata(vis="b.mms", mode="summary")
        helper.bypassParallelProcessing(0)
        helper.setAsyncMode(False)
        show(ids=ids, reports=reports, change=change, r=[x["successful"] for x in r], why=why,
             value=helper.getResult(change, "flagdata"), file=os.path.exists("b.txt"))
        flag.update(outfile="c.txt")
        show(plain=flagdata(vis="c.mms", **flag), before=flagdata(vis="../a.mms", mode="summary"), here=here,
             after=flagdata(vis="c.mms", mode="summary"), versions=[sorted(os.listdir(v + ".flagversions")) for v in ("b.mms", "c.mms")])
        """, head=SCRIPT, cwd=folder)
    assert s["ids"][:2] == [[1], [2]] and s["change"] == [3] and not isinstance(s["ids"][2], list)
    plain = lambda report: {key: value for key, value in report.items() if key != "name"}
    assert plain(s["reports"][0]) == plain(s["reports"][1]) == plain(s["before"])
    assert s["r"] == [True, False] and "bogus" in s["why"] and "MPIServer-" in s["why"]
    assert s["value"] == s["plain"] and s["file"] is True and s["versions"][0] == s["versions"][1]
    assert plain(s["here"]) == plain(s["after"]) and s["after"]["flagged"] > s["before"]["flagged"]


DEATHS = SCRIPT + """
import shutil
from sheaf import MPICommandClient, flagdata
helper, client = ParallelTaskHelper, MPICommandClient()
client.start_services()
# Servers die in flagdata: before the flagging (at "early") or after it, without an answer, while the file `mark` is there.
client.push_command_request('''
import os, signal
from sheaf import _core
def call(name, given, plain=_core.call):
    when = os.path.exists(mark_of_tests) and open(mark_of_tests).read()
    if when and when != "always":
        os.remove(mark_of_tests)
    value = plain(name, given) if when in (False, "late") else None
    if when:
        os.kill(os.getpid(), signal.SIGKILL)
    return value
_core.call, mark_of_tests = call, ''' + repr(os.path.abspath("mark")), True, list(range(1, sheaf.nservers() + 1)))
def mark(when):
    with open("mark", "w") as f: f.write(when)
def dies(when, **args):
    mark(when)
    ids = flagdata(vis="d.mms", flagbackup=False, **args)
    r = client.get_command_response(ids, True)[0]
    try:
        return [r["status"], r["successful"], helper.getResult(ids, "flagdata")]
    except sheaf.Error as problem:
        return [r["status"], r["successful"], str(problem)]
shutil.rmtree("d.mms", ignore_errors=True)
shutil.copytree("a.mms", "d.mms", symlinks=True)
before = flagdata(vis="d.mms", mode="summary")
def flagged():
    helper.setAsyncMode(False)
    n = flagdata(vis="d.mms", mode="summary")["flagged"]
    helper.setAsyncMode(True)
    return n
helper.setAsyncMode(True)
show(before=before)
"""


def test_death_of_the_server_of_an_asynchronous_flagdata(folder):
    """A summary is made by another server. What flags is not begun again: an error that says why; called again, it does all."""
    s = run("""
        show(summary=dies("early", mode="summary"), early=dies("early", mode="manual", antenna="2"), unchanged=flagged(),
             late=dies("late", mode="manual", antenna="2"), servers=sheaf.nservers())
        ids = flagdata(vis="d.mms", mode="manual", antenna="2", flagbackup=False)
        show(again=client.get_command_response(ids, True)[0]["successful"], after=flagged())
        shutil.rmtree("d.mms")
        shutil.copytree("a.mms", "d.mms", symlinks=True)
        helper.setAsyncMode(False)
        flagdata(vis="d.mms", mode="manual", antenna="2", flagbackup=False)
        show(plain=flagged())
        """, ranks=5, head=DEATHS, cwd=folder)
    assert s["summary"] == ["response received", True, s["before"]] and s["servers"] == 1
    for name in ("early", "late"):
        assert s[name][:2] == ["server lost", False]
        assert "flagdata failed for " in s[name][2] and "MPIServer-" in s[name][2] and "signal 9" in s[name][2]
    assert s["unchanged"] == s["before"]["flagged"]
    assert s["again"] is True and s["after"] == s["plain"] > s["before"]["flagged"]


@pytest.mark.parametrize("mode", ("summary", "manual"))
def test_asynchronous_flagdata_with_no_server_left(folder, mode):
    """A call that had changed nothing, or had not begun, is done by the script's process when its result is asked for, as are the next; what
    flags is not begun again: an error that says why."""
    s = run(f"""
        helper.setAsyncMode(False)
        part = flagdata(vis="d.mms", mode="summary", antenna="2")
        helper.setAsyncMode(True)
        mark("always")
        ids = [flagdata(vis="d.mms", mode=mode, antenna="2", flagbackup=False)[0] for mode in ({mode!r}, "summary")]
        r = client.get_command_response(ids, True)
        def why(i):
            try:
                return helper.getResult([i], "flagdata")
            except sheaf.Error as problem:
                return str(problem)
        os.remove("mark")
        show(status=[x["status"] for x in r], why=[why(i) for i in ids], servers=sheaf.nservers(), vis=os.path.abspath("d.mms"))
        again = [helper.getResult([i], "flagdata") for i in ids[1:]]
        next = flagdata(vis="d.mms", mode="summary")
        while len(client.get_command_response(next, False)) < len(next):
            pass
        r = client.get_command_response(next + ids[1:], True)
        bad = flagdata(vis="d.mms", mode="bogus")
        show(ids=ids + next, here=helper.getResult(next, "flagdata"), same=flagged(), again=again, bad=why(bad[0]),
             r=[[x["successful"], x["status"], x["server"], x["id"], x["ret"] in (before, part)] for x in r],
             part=part,
             known=[i in client.get_command_request_list() and i in client.get_command_response_list() for i in next])
        """, ranks=2, head=DEATHS, cwd=folder)
    # The second call may come before the death of the server is known.
    assert s["status"][0] == "server lost" and s["status"][1] in ("server lost", "response received") and s["servers"] == 0
    if mode == "summary":
        assert s["why"][0] == s["part"]
    else:
        assert s["why"][0].startswith(f"flagdata failed for Multi-MS {s['vis']} on MPIServer-1: ") and "signal 9" in s["why"][0]
    assert s["why"][1] == s["again"][0] == s["part"] and s["here"] == s["before"] and s["same"] == s["before"]["flagged"]
    assert s["r"] == [[True, "response received", None, s["ids"][2], True], [True, "response received", None, s["ids"][1], True]]
    assert len(set(s["ids"])) == 3 and s["known"] == [True] and "bogus" in s["bad"] and "MPIServer" not in s["bad"]
    assert "no server is left; this process does the work itself" in s.err


# A script as it is written for CASA: it asks until all answers are there, and then for the result.
POLLING = SCRIPT + """
import shutil, signal, threading, time
helper = ParallelTaskHelper
def poll(ids, task):
    from sheaf import MPICommandClient
    client = MPICommandClient()
    deadline = time.monotonic() + 60
    while len(client.get_command_response(ids, False, False)) < len(ids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return helper.getResult(ids, task)
"""


@pytest.mark.parametrize("ranks", (1, 2, 3))
def test_asynchronous_calls_hand_out_numbers_with_and_without_servers(folder, ranks):
    """Without MPI, and when all servers were killed, the work is done when the call returns; the script need not know."""
    s = run("""
        plain = sheaf.flagdata(vis="a.mms", mode="summary")
        for rank, status in (sheaf.MPICommandClient(True).get_server_status().items() if sheaf.nservers() else ()):
            os.kill(status["pid"], signal.SIGKILL)
        helper.setAsyncMode(True)
        report = sheaf.flagdata(vis="a.mms", mode="summary")
        rows = count("a.mms")
        bad = count("a.mms", bad="0001.ms")
        ids = report + rows + bad
        values = [helper.getResult(report, "flagdata"), helper.getResult(rows, "count")["rows"]]
        if helper.isMPIClient():
            values += [poll(report, "flagdata"), poll(rows, "count")["rows"]]
        try:
            helper.getResult(bad, "count")
        except sheaf.Error as problem:
            show(why=str(problem))
        show(ids=[len(report), len(rows), len(bad), len(set(ids))], values=values, plain=plain, servers=sheaf.nservers())
        """, ranks=ranks, head=POLLING, cwd=folder)
    assert s["ids"] == [1, 3, 3, 7] and s["servers"] == 0
    assert s["values"] == [s["plain"], 22653] * (1 if ranks == 1 else 2)
    assert "a.mms.0001.ms" in s["why"] and "bad luck" in s["why"]


@pytest.mark.parametrize("repeatable", (True, False))
def test_servers_killed_while_asynchronous_jobs_run(folder, repeatable):
    """Each sub-MS is done in the end, or the error says what was not begun again."""
    (folder / "slow.py").write_text('''
import os, time
import sheaf
from sheaf import ParallelTaskHelper

def slow(vis, repeatable=True, me=0):
    if ParallelTaskHelper.isParallelMS(vis):
        helper = ParallelTaskHelper("slow", locals())
        helper.setRepeatable(repeatable)
        return helper.go()
    with open("begun", "a") as f:
        f.write(vis[-7:])
    while os.getpid() != me and os.path.exists("hold"):
        time.sleep(0.01)
    return {"rows": sheaf.listobs(vis=vis)["numrecords"]}
''')
    s = run(f"""
        from slow import slow
        open("hold", "w").close(), open("begun", "w").close()
        client = sheaf.MPICommandClient(True)
        helper.setAsyncMode(True)
        ids = slow("a.mms", {repeatable}, os.getpid())
        while len(open("begun").read()) < 7:
            time.sleep(0.01)
        for status in client.get_server_status().values():
            os.kill(status["pid"], signal.SIGKILL)
        try:
            value = poll(ids, "slow")
        except sheaf.Error as problem:
            value = str(problem)
        show(value=value, ids=ids, servers=sheaf.nservers(), begun=open("begun").read())
        """, ranks=2, head=POLLING, cwd=folder, PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")
    assert len(s["ids"]) == 3 and s["servers"] == 0
    if repeatable:
        assert s["value"] == {"rows": 22653} and len(s["begun"]) == 4 * 7
    else:
        assert s["value"].count("slow failed") == 1 and "signal 9" in s["value"] and len(s["begun"]) == 3 * 7


def test_jobs_survive_their_servers(folder):
    """A job whose server dies is done by another; when none is left, by the client. What ends two servers is an error."""
    (folder / "dying.py").write_text('''
import os, signal
import sheaf
from sheaf import MPIEnvironment, ParallelTaskHelper

def work(vis, folder="", always=False, repeatable=True):
    if ParallelTaskHelper.isParallelMS(vis):
        helper = ParallelTaskHelper("work", locals())
        helper.setRepeatable(repeatable)
        return helper.go()
    mark = os.path.join(folder, os.path.basename(vis))
    if MPIEnvironment.mpi_processor_rank > 0 and (always or not os.path.exists(mark)):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"rows": sheaf.listobs(vis=vis)["numrecords"], "here": int(MPIEnvironment.mpi_processor_rank == 0)}
''')
    script = """
        import sheaf
        from dying import work
        try:
            value = work("a.mms", folder=os.getcwd() + "/FOLDER"ARGS)
        except sheaf.Error as problem:
            value = str(problem)
        show(value=value, servers=sheaf.nservers())
        """
    found = {}
    for name, ranks, args in (("other", 5, ""), ("none", 2, ""), ("once", 4, ", repeatable=False")):
        (folder / name).mkdir()
        found[name] = run(script.replace("FOLDER", name).replace("ARGS", args), ranks=ranks, head=SCRIPT, cwd=folder,
                          PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")
    assert found["other"]["value"] == {"rows": 22653, "here": 0} and found["other"]["servers"] == 1
    assert found["none"]["value"] == {"rows": 22653, "here": 3} and found["none"]["servers"] == 0
    assert found["once"]["value"].count("signal 9") == 3 and "failed for sub-MS" in found["once"]["value"]


def test_ctrl_c_ends_the_jobs(folder):
    (folder / "slow.py").write_text('''
import time
from sheaf import ParallelTaskHelper

def slow(vis):
    if ParallelTaskHelper.isParallelMS(vis):
        return ParallelTaskHelper("slow", locals()).go()
    time.sleep(1000)
''')
    s = run("""
        import os, signal, threading
        from sheaf import MPICommandClient
        from slow import slow
        client = MPICommandClient(start_services=True)
        def ctrl_c():
            import time
            while not all(s["busy"] for s in client.get_server_status().values()): time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=ctrl_c).start()
        try:
            slow("a.mms")
        except KeyboardInterrupt:
            show(after=[r["ret"] for r in client.push_command_request("1+1", True, [1, 2])])
        """, head=SCRIPT, cwd=folder, PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")
    assert s["after"] == [2, 2]


def test_several_tasks_at_one_time(folder):
    s = run("""
        from sheaf.parallel import ParallelTaskWorker
        workers = [ParallelTaskWorker(f"count('a.mms', kind={kind!r})") for kind in ("dict", "bool")] + [ParallelTaskWorker("1/0")]
        show(early=workers[0].getResult())
        for worker in workers: worker.start()
        show(rows=workers[0].getResult()["rows"], all=workers[1].getResult())
        try:
            workers[2].getResult()
        except ZeroDivisionError:
            show(raised=True)
        """, head=SCRIPT, cwd=folder, PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")
    assert s["early"] is None and s["rows"] == 22653 and s["all"] is False and s["raised"] is True


def test_texts_and_reports():
    from sheaf import ParallelTaskHelper as helper
    assert helper.listToCasaString([5, 1, 2, 3, 3, 7, 8]) == "1~3,5,7~8"
    assert helper.findAbsPath(["a", ""]) == [os.path.abspath("a"), ""] and helper.findAbsPath(3) == 3
    reports = [{"type": "list", "report0": {"type": "rflag", "name": "Rflag", "freqdev": [[1, 0, v], [0, 0, 2.0]], "timedev": []}}
               for v in (3.0, 5.0, 10.0)]
    total = {}
    for report in reports:
        total = helper.combine_dictionaries(report, total)
    final = helper.finalize_consolidate_results(total)["report0"]
    assert numpy.array_equal(final["freqdev"], [[0, 0, 2.0], [1, 0, 5.0]]) and final["timedev"].shape == (0, 3)
    assert helper.consolidateResults({"a": {"n": 1, "nreport": 2, "t": "x"}, "b": {"n": 2, "nreport": 2, "t": "y"}}, "t") == \
        {"n": 3, "nreport": 2, "t": "x"}
    assert helper.consolidateResults({"a": True, "b": False}, "t") is False
    assert helper.consolidateResults({"a": 1}, "t") is None
