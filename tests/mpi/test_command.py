# SPDX-License-Identifier: GPL-3.0-or-later
"""MPICommandClient, MPIEnvironment and MPIInterface. What is expected was seen in CASA 6.7 (casampi 0.6.0, one client and
two servers) with the same calls, unless a comment says otherwise; docs/differences.md lists where Sheaf differs."""

import os
import shutil
import signal

import pytest

tables = pytest.importorskip("casacore.tables")
import inputs  # noqa: E402
from commands import HEAD, begin, end, environment, run  # noqa: E402
from runs import preload  # noqa: E402

# Keys of a response, and of a server's status, in CASA.
RESPONSE = {"command", "command_start_time", "command_stop_time", "id", "mode", "parameters", "ret", "server", "status",
            "successful", "traceback"}
STATUS = {"busy", "command", "command_start_time", "pid", "ping_time", "pong_checks", "pong_pending", "pong_time",
          "processor", "rank", "timeout"}


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_responses_have_all_fields():
    s = run("""
        show(eval=client.push_command_request("1+1", True, 1), exec=client.push_command_request("x = 5", True, [2]),
             none=client.push_command_request("", True, [1]), both=client.push_command_request("1+1", True, [1, 2]))
        """)
    (response,) = s["eval"]
    assert set(response) == RESPONSE
    assert 0 <= response.pop("command_stop_time") - response.pop("command_start_time") < 100
    assert response == {"command": "1+1", "id": 1, "mode": "eval", "parameters": None, "ret": 2, "server": 1,
                        "status": "response received", "successful": True, "traceback": None}
    assert (s["exec"][0]["mode"], s["exec"][0]["ret"], s["exec"][0]["server"]) == ("exec", None, 2)
    assert s["none"][0]["mode"] == "exec" and s["none"][0]["successful"] and s["none"][0]["ret"] is None
    assert [(r["id"], r["server"], r["ret"]) for r in s["both"]] == [(4, 1, 2), (5, 2, 2)]


def test_modes_and_variables():
    s = run("""
        def one(*given): return client.push_command_request(*given)[0]
        one("x = 5", True, [1])
        show(here=value("x", 1), there=one("x", True, [2])["traceback"])
        show(sum=one("a+b", True, [1], {"a": 1, "b": 2})["ret"], gone=one("a", True, [1])["traceback"])
        show(call=one("dict()", True, [1], {"a": 1, "b": 2})["ret"], plain=one("dict()", True, [1])["ret"])
        show(push=one("push", True, [1], {"a": 1}), kept=value("a", 1), bare=one("push", True, [1])["successful"])
        show(body=one("import math\\nroot = math.sqrt(a)", True, 1)["mode"], root=value("root", 1))
        show(task=value("partition.__name__"), os=value("os.path.basename('/a/b')"), name=value("__name__"))
        one("a = 7", True, 1, {"a": 3})
        show(restored=value("a", 1))
        one("class Thing:\\n  pass", True, 1)
        show(own=one("[type(Thing()).__name__, time.time() > 0]", True, 1)["ret"])
        """)
    assert s["here"] == 5 and s["there"].endswith("NameError: name 'x' is not defined\n")
    assert s["sum"] == 3 and s["gone"].endswith("NameError: name 'a' is not defined\n")
    assert s["call"] == {"a": 1, "b": 2} and s["plain"] == {}
    assert s["push"]["mode"] == "push" and s["push"]["ret"] is None and s["push"]["parameters"] == {"a": 1}
    assert s["kept"] == 1 and s["bare"] is True
    assert (s["body"], s["root"]) == ("exec", 1.0)
    assert (s["task"], s["os"], s["name"]) == ("partition", "b", "__main__")
    assert s["restored"] == 1  # ours: CASA would have deleted the variable
    assert s["own"] == ["Thing", True]


def test_failures_have_a_traceback():
    s = run("""
        show(eval=client.push_command_request("1/0", True, 1)[0],
             exec=client.push_command_request("y = 1\\nraise ValueError('a')", True, 2)[0],
             deep=client.push_command_request("def f(n): return f(n + 1)\\nf(0)", True, 2)[0]["traceback"][-60:],
             after=value("1+1", 1))
        """)
    assert set(s["eval"]) == RESPONSE
    assert (s["eval"]["successful"], s["eval"]["ret"], s["eval"]["status"]) == (False, None, "response received")
    assert s["eval"]["traceback"].startswith("Traceback (most recent call last):\n")
    assert s["eval"]["traceback"].endswith("ZeroDivisionError: division by zero\n")
    assert 'line 2, in <module>\n    raise ValueError(\'a\')\nValueError: a\n' in s["exec"]["traceback"]
    assert "RecursionError" in s["deep"] and s["after"] == 2
    assert s.err.count("ZeroDivisionError") == 1 and "MPIServer-1" in s.err  # the log has it once, from the server


@pytest.mark.parametrize("call,words", [
    ('"1+", True, [1]', "will be rejected"), ("5, True, [1]", "will be rejected"), ("None", "will be rejected"),
    ('"a\\0b"', "will be rejected"), ('"1", True, 9', "Server #9 does not exist"),
    ('"1", True, 0', "Server #0 does not exist"), ('"1", True, -1', "Server #-1 does not exist"),
    ('"1", True, []', "wrong format"), ('"1", True, "1"', "wrong format"), ('"1", True, ["1"]', "wrong format"),
    ('"1", True, (1,)', "wrong format"), ('"1", True, [1, 9]', "Server #9 does not exist"),
    ('"1", True, 1.0', "wrong format"),
    # CASA takes what is no dictionary, and ignores it; what cannot be pickled makes its sending fail later.
    ('"1", True, 1, 5', "must be a dictionary"), ('"1", True, 1, {1: 2}', "must be a dictionary"),
    ('"1", True, 1, {"f": lambda: 1}', "cannot be sent"),
])
def test_refused_requests_return_none(call, words, refusals):
    assert refusals[call] is None
    assert any(words in line for line in refusals.err.splitlines() if "SEVERE" in line)
    assert refusals["numbers"] == [1]  # refused requests have no number


@pytest.fixture(scope="module")
def refusals():
    calls = [mark.args[1] for mark in test_refused_requests_return_none.pytestmark if mark.name == "parametrize"][0]
    lines = "\n".join(f"show(**{{{c[0]!r}: client.push_command_request({c[0]})}})" for c in calls)
    return run(lines + '\nshow(numbers=client.push_command_request("1"))\n')


def test_responses_later():
    s = run("""
        ids = client.push_command_request("time.sleep(0.3)", False, [1, 2])
        early = client.get_command_response(ids, False, True)
        show(ids=ids, early=early, late=client.get_command_response(ids, True, True))
        again = client.get_command_response(ids, True)
        show(again=[r["id"] for r in again], same=again == client.get_command_response(reversed(ids), True)[::-1],
             list=sorted(client.get_command_response_list()))
        one, two = client.push_command_request("1+1"), client.push_command_request("x", parameters={"x": 5})
        show(lists=[r["ret"] for r in client.get_command_response([one, two], block=True)])  # as on CASA's page
        for name, what in (("unknown", [99]), ("text", "a"), ("number", 2), ("none", None)):
            for block in (False, True):
                try:
                    client.get_command_response(what, block)
                except Exception as problem:
                    show(**{f"{name}{block}": [type(problem).__name__, str(problem)]})
        """)
    assert s["ids"] == [1, 2] and s["early"] == []
    assert [(r["successful"], r["ret"], r["status"]) for r in s["late"]] == [(True, None, "response received")] * 2
    assert s["again"] == [1, 2] and s["same"] is True and s["list"] == [1, 2]
    assert s["lists"] == [2, 5]
    assert s["unknownFalse"] == s["unknownTrue"] == ["KeyError", "99"]
    assert s["textFalse"] == ["KeyError", "'a'"]
    assert s["numberFalse"] == s["numberTrue"] == ["TypeError", "'int' object is not iterable"]
    assert s["noneFalse"] == ["TypeError", "'NoneType' object is not iterable"]


def test_events_and_lists():
    s = run("""
        slow = client.push_command_request("time.sleep(0.5)", False, 1)
        queued = client.push_command_request("3", False, 1)
        before = client.get_command_request_list()
        event = client.get_command_response_event(slow + queued)
        show(set_before=event.is_set(), early=event.wait(0.01), thread=isinstance(event, threading.Event))
        client.wait_for_command_request_sent(slow)
        show(before=before, sent=client.get_command_request_list()[1]["status"])
        show(waited=event.wait(200), set_after=event.is_set())
        client.wait_for_command_request_sent(slow)  # in CASA this never returns
        show(after=client.get_command_request_list()[2])
        for what in ([999], 1):
            for f in (client.get_command_response_event, client.wait_for_command_request_sent):
                try:
                    f(what)
                except (KeyError, TypeError) as problem:
                    show(**{f.__name__ + str(what): type(problem).__name__})
        """)
    assert s["set_before"] is False and s["early"] is False and s["thread"] is True
    assert s["before"]["2"] == {"command": "3", "id": 2, "mode": "eval", "parameters": None, "server": 1,
                                "status": "holding queue"}
    assert s["sent"] == "request sent" and s["waited"] is True and s["set_after"] is True
    assert s["after"]["status"] == "response received"
    for name in ("get_command_response_event", "wait_for_command_request_sent"):
        assert s[name + "[999]"] == "KeyError" and s[name + "1"] == "TypeError"


def test_order_on_one_server_is_that_of_the_requests():
    s = run("""
        value("log = []", 1)
        for i in range(300):
            client.push_command_request(f"log.append({i})", False, 1 if i % 3 else [1])
        show(same=value("log == list(range(300))", 1), ids=client.push_command_request("1", False))
        """)
    assert s["same"] is True and s["ids"] == [303]


def test_any_free_server():
    """While one server is busy the other one does what has no target; the highest rank is first, as in CASA."""
    s = run("""
        show(first=client.push_command_request("1", True)[0]["server"])
        busy = client.push_command_request("while not os.path.exists(path): time.sleep(0.01)", False, 2,
                                           {"path": os.getcwd() + "/go"})
        done = client.get_command_response(sum((client.push_command_request("1") for i in range(20)), []), True)
        show(servers=sorted({r["server"] for r in done}), waiting=client.get_command_response(busy, False, False))
        open("go", "w").close()
        show(end=client.get_command_response(busy, True)[0]["successful"])
        os.remove("go")
        """)
    assert s["first"] == 2 and s["servers"] == [1] and s["waiting"] == [] and s["end"] is True


def test_server_status():
    s = run("""
        busy = client.push_command_request("while not os.path.exists(path): time.sleep(0.01)", False, 1,
                                           {"path": os.getcwd() + "/go"})
        show(status=client.get_server_status(), one=client.get_server_status(1), none=client.get_server_status(7),
             host=MPIEnvironment.hostname, pids=[r["ret"] for r in client.push_command_request("os.getpid()", True, [2])])
        open("go", "w").close()
        client.get_command_response(busy, True)
        os.remove("go")
        show(idle=client.get_server_status(1)["busy"])
        """)
    assert set(s["status"]) == {"1", "2"} and STATUS <= set(s["status"]["1"])
    one, two = s["status"]["1"], s["status"]["2"]
    assert one["busy"] and one["command"].startswith("while") and one["command_start_time"] > 1e9
    assert not two["busy"] and two["command"] is None and two["command_start_time"] is None
    assert (one["rank"], one["processor"], one["timeout"]) == (1, s["host"], False)
    assert two["pid"] == s["pids"][0] and s["none"] is None and s["idle"] is False
    assert s["one"]["pid"] == one["pid"]


def test_settings_of_servers():
    s = run("""
        for level in ("DEBUG", "INFO2", "bogus", "debug", "INFO"):
            assert client.set_log_level(level) is None
        for mode in ("unified", "bogus", 5):
            assert client.set_log_mode(mode) is None
        client.set_omp_num_threads(4, [1, 2])
        show(omp=[r["ret"] for r in client.push_command_request("casalog.ompNumThreadsTest()", True, [1, 2])])
        total = client.getMemoryTotal(False, 1)
        client.setMemoryTotal(2000, 1)
        show(total=total, both=client.getMemoryTotal(False, [1, 2]), set=client.getMemoryTotal(True, 1))
        client.setMemoryTotal(-1, 1)
        client.setMemoryFraction(50, 1)
        show(half=client.getMemoryTotal(True, [1]))
        client.setMemoryFraction(-1, 1)
        client.setNumCPUs(3, 1)
        show(reset=client.getMemoryTotal(True, 1), cpus=client.getNumCPUs(False, [1]), three=client.getNumCPUs(True, 1))
        client.setNumCPUs(-1, 1)
        show(back=client.getNumCPUs(True, 1), any=client.getNumCPUs(False, None))
        """)
    assert s["omp"] == [4, 4]
    assert s["both"] == [s["total"]] * 2 and s["set"] == 2048000 and s["half"] == s["total"] / 2
    assert s["reset"] == s["total"] and s["three"] == 3 and s["back"] == s["cpus"] == s["any"]
    assert "Unrecognized log level 'bogus'" in s.err and "Unrecognized log level 'debug'" in s.err
    assert "logmode='bogus'" in s.err


def test_life_cycle():
    s = run("""
        client.start_services()
        other = MPICommandClient()
        show(state=other.get_lifecyle_state(), ret=other.push_command_request("a+b", True, [1], {"a": 1, "b": 1})[0]["ret"])
        show(stop=client.stop_services(), stopped=other.get_lifecyle_state())
        show(push=client.push_command_request("1", True), old=client.get_command_response([1], True)[0]["ret"],
             again=client.stop_services(), start=client.start_services(), status=client.get_server_status(1)["timeout"],
             alive=client.get_server_status(1)["alive"])
        import sheaf
        show(servers=sheaf.nservers())
        """)
    assert (s["state"], s["ret"], s["stop"], s["stopped"]) == (1, 2, None, 2)
    assert s["push"] is None and s["old"] == 2 and s["again"] is None and s["start"] is None
    assert s["servers"] == 0 and s["status"] is False and s["alive"] is False
    assert "MPICommandClient life cycle finalized" in s.err


def test_before_the_start_and_without_servers():
    head = HEAD.replace("client.start_services()", "")
    s = run("""
        show(state=client.get_lifecyle_state(), push=client.push_command_request("1", True), stop=client.stop_services())
        """, head=head)
    assert (s["state"], s["push"], s["stop"]) == (0, None, None) and "call start_services() first" in s.err
    alone = """
import json, sheaf
from sheaf import MPIEnvironment
try:
    sheaf.MPICommandClient()
except Exception as problem:
    print("@" + json.dumps({"why": str(problem), "enabled": MPIEnvironment.is_mpi_enabled,
                            "servers": MPIEnvironment.mpi_server_rank_list()}))
"""
    s = run("", ranks=1, head=alone)
    assert "MPI is not enabled" in s["why"] and s["enabled"] is False and s["servers"] == []


def test_environment():
    s = run("""
        names = [n for n in dir(MPIEnvironment) if not n.startswith("_")]
        show(client={n: getattr(MPIEnvironment, n) for n in names if not callable(getattr(MPIEnvironment, n))},
             server=value("[sheaf.MPIEnvironment.is_mpi_client, sheaf.MPIEnvironment.mpi_processor_rank, "
                          "sheaf.MPIEnvironment.processor_origin, sheaf.MPIEnvironment.is_mpi_disabled_or_client()]", 2),
             list=MPIEnvironment.mpi_server_rank_list(), may=MPIEnvironment.is_mpi_disabled_or_client(),
             why=client.push_command_request("sheaf.MPICommandClient()", True, 1)[0]["traceback"])
        """)
    e = s["client"]
    assert e["is_mpi_enabled"] and e["is_mpi_client"] and e["mpi_world_size"] == 3 and e["mpi_processor_rank"] == 0
    assert e["processor_origin"] == f"@{e['hostname']}:MPIClient"
    assert e["mpi_info_msg"] == (f"MPI Enabled at host {e['hostname']} with rank 0 as MPIClient using MPI version "
                                 f"{e['mpi_version_str']} from {e['mpi_vendor_str']} implementation ")
    assert e["mpi_vendor_str"].startswith("Open MPI v")
    assert s["server"] == [False, 2, f"@{e['hostname']}:MPIServer-2", False]
    assert s["list"] == [1, 2] and s["may"] is True
    assert "cannot be instantiated" in s["why"]


def test_several_threads_of_the_script():
    s = run("""
        found = []
        def work(n):
            for i in range(50):
                assert value("a + 1", a=n * i) == n * i + 1
            found.append(n)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for t in threads: t.start()
        for t in threads: t.join()
        show(found=sorted(found))
        """)
    assert s["found"] == list(range(6))


def test_arrays_both_ways():
    pytest.importorskip("numpy")
    s = run("""
        import numpy as np
        a = np.arange(3_000_000, dtype=np.float64).reshape(1000, 3000)
        parts = {"a": a, "f": np.asfortranarray(a[:50]), "s": a[::7, ::3], "e": np.zeros((0, 3)), "b": b"x" * 5_000_001,
                 "c": np.array([1 + 2j, 3], dtype=np.complex64), "t": np.array(["ab", "c"])}
        client.push_command_request("push", True, [1, 2], parts)
        back = value("dict(a=a, f=f, s=s, e=e, b=b, c=c, t=t)", 2)
        back["a"][0, 0] = 5  # writable
        same = {n: bool(np.array_equal(back[n], parts[n])) and back[n].dtype == parts[n].dtype for n in "fsect"}
        show(same=same, a=bool(np.array_equal(back["a"].ravel()[1:], a.ravel()[1:])), b=back["b"] == parts["b"])
        a[0, 0] = -1
        ids = client.push_command_request("time.sleep(0.2); x = a", False, 1) + \\
              client.push_command_request("float(q[0, 0])", False, 1, {"q": a})
        a[0, 0] = -2  # the request keeps what was given
        show(kept=client.get_command_response(ids, True)[1]["ret"])
        """)
    assert set(s["same"].values()) == {True} and s["a"] is True and s["b"] is True
    assert s["kept"] == -1.0


def test_tasks_run_between_commands(tmp_path):
    """A round of C units while commands wait, and commands while a round runs."""
    s = run("""
        import sheaf
        ids = client.push_command_request("time.sleep(0.2)", False, [1, 2]) + client.push_command_request("7", False, 1)
        show(task=sheaf.slow(0.01), ret=[r["ret"] for r in client.get_command_response(ids, True)])
        """, LD_PRELOAD=preload(os.path.join(os.environ["SHEAF_BUILD"], "tests", "libfake_tasks.so")))
    assert s["task"] == 10 and s["ret"] == [None, None, 7]


def test_cluster_interface():
    s = run("""
        cluster = MPIInterface.getCluster()
        cl = cluster._cluster
        show(running=cluster.isClusterRunning(), engines=cl.get_engines(), nodes=cl.get_nodes())
        show(pgc=[r["ret"] for r in cl.pgc("3+4")], each=[r["ret"] for r in cl.pgc({1: "3+4", 2: "5"})],
             ids=[cl.pgc("3+4", False), cl.pgc({1: "3", 2: "5"}, False)], bad=cl.pgc(5))
        show(odo=cl.odo("1", 1), execute=[r["ret"] for r in cl.execute("1+5", [1, 2])])
        show(push=[r["mode"] for r in cl.push({"q": 3})], pull=cl.pull("q"), one=cl.pull("q", 1), none=cl.pull("nope"))
        show(check=cl.check_job([1, 2]))
        slow = cl.odo("time.sleep(0.3)", 1)
        show(pending=cl.check_job(slow))
        client.get_command_response(slow, True)
        show(finished=cl.check_job(slow), record=cluster.do_and_record("True"))
        bad = cl.odo("1/0", [1, 2])
        client.get_command_response(bad, True)
        try:
            cl.check_job(bad)
        except Exception as problem:
            show(why=str(problem))
        show(store=cluster.get_engine_store(1), cwd=os.getcwd())
        try:
            cluster.get_engine_store(17)
        except ValueError as problem:
            show(no_store=str(problem))
        table = cluster.get_status()
        show(table=table, requests=len(cl.get_command_request_list()))
        """)
    assert s["running"] is True and s["engines"] == [1, 2] and len(s["nodes"]) == 1
    assert s["pgc"] == [7, 7] and s["each"] == [7, 5] and s["bad"] is None
    assert s["ids"] == [[5, 6], [7, 8]]  # CASA returns [] for the second
    assert s["execute"] == [6, 6] and s["push"] == ["push", "push"]
    assert s["pull"] == {"1": 3, "2": 3} and s["one"] == {"1": 3} and s["none"] == {"1": None, "2": None}
    assert s["check"] is True and s["pending"] is False and s["finished"] is True
    assert s["why"].count("Exception executing command in server ") == 2 and "ZeroDivisionError:" in s["why"]
    assert s["store"] == s["cwd"] and "17" in s["no_store"]
    table = s["table"]
    assert table[0] == ["JOB ID", "SERVER", "HOSTNAME", "QUEUE STATUS", "COMMAND", "ELAPSED TIME (s)", "EXECUTION STATUS"]
    assert len(table) - 1 == s["requests"]
    assert table[1][:2] == ["1", "1"] and table[1][3:] == ["response received", "3+4", "0.00", "completed"]
    assert {row[6] for row in table[1:]} >= {"completed", "completed - True", "exception raised"}
    assert s.out.count("| JOB ID |") == 1


def test_the_names_of_casa():
    head = """
import json
from casampi.MPICommandClient import MPICommandClient
from casampi.MPIEnvironment import MPIEnvironment
from casampi.MPIInterface import MPIInterface
import casampi.private.start_mpi
import mpi4casa.MPICommandClient as old, mpi4casa.MPIEnvironment, mpi4casa.MPIInterface, sheaf
from casampi.private.MPIMonitorClient import MPIMonitorClient
from casampi.private.MPICommandServer import MPICommandServer
from simple_cluster import simple_cluster
client = MPICommandClient(); client.start_services()
monitor = MPIMonitorClient()
try:
    MPICommandServer()
except Exception as problem:
    why = str(problem)
print("@" + json.dumps({"same": old.MPICommandClient is sheaf.MPICommandClient is MPICommandClient and simple_cluster is MPIInterface,
    "ret": client.push_command_request("1+1", True)[0]["ret"], "why": why, "rank": MPIEnvironment.mpi_processor_rank,
    "monitor": [monitor.get_server_timeout(), monitor.get_server_rank_available(), monitor.get_server_rank_online(),
                monitor.get_server_status_keyword(1, "busy"), monitor.get_server_status(7)]}))
"""
    s = run("", head=head)
    assert s["same"] is True and s["ret"] == 2 and s["rank"] == 0
    assert s["why"].startswith("MPICommandServer cannot be instantiated at master MPI process")
    assert s["monitor"] == [[], [1, 2], [1, 2], False, None]


def test_log_modes(tmp_path):
    script = """
        client.set_log_mode("MODE")
        client.start_services()
        value("casalog.post('from the server')", 1)
        show(pid=value("os.getpid()", 1), host=MPIEnvironment.hostname)
        """
    head = HEAD.replace("client.start_services()", "")
    for mode, own, console in (("unified", False, True), ("separated", True, False), ("redirect", True, True)):
        log = tmp_path / f"{mode}.log"
        s = run(script.replace("MODE", mode), head=head, SHEAF_LOGFILE=str(log))
        mine = tmp_path / f"{mode}.log-server-1-host-{s['host']}-pid-{s['pid']}"
        assert mine.exists() is own
        assert ("from the server" in log.read_text()) is not own and ("from the server" in s.err) is console
        assert not own or f"MPIServer-1\tfrom the server" in mine.read_text()
    s = run(script.replace("MODE", "separated"), head=head)
    assert "there is no log file" in s.err and "from the server" in s.err


def test_filter_of_messages_by_process(tmp_path):
    """As CASA 6.7.0 under `mpirun -n 3` with the same calls: each process has filters of its own, servers two from the start."""
    log = tmp_path / "all.log"
    s = run("""
        casalog.filterMsg(["hid"])
        commands = ["casalog.post('MSSelectionNullSelection a', 'SEVERE')", "casalog.post('non-existent spw b', 'WARN')",
                    "casalog.post('hid d', 'WARN')", "casalog.filterMsg(['zz'])", "casalog.post('zz e', 'WARN')",
                    "casalog.clearFilterMsgList()", "casalog.post('zz f', 'WARN')",
                    "casalog.post('MSSelectionNullSelection g', 'SEVERE')"]
        show(ret=[value(command, 1) for command in commands], client=[casalog.post("hid h"), casalog.post("seen")])
        """, head=HEAD + "from sheaf import casalog\n", SHEAF_LOGFILE=str(log))
    assert s["ret"] == [False, False, True, None, False, None, True, True] and s["client"] == [False, True]
    texts = [line.split("\t")[3] for line in log.read_text().splitlines()]
    assert sorted(t for t in texts if t[-2:-1] == " " or t == "seen") == ["MSSelectionNullSelection g", "hid d", "seen", "zz f"]


def test_one_log_in_order_of_time(tmp_path):
    log = tmp_path / "all.log"
    s = run("""
        ids = []
        for i in range(60):
            casalog.post(f"number {i} of the client")
            ids += client.push_command_request(f"time.sleep(0.02); casalog.post('number {i} of a server')")
        client.get_command_response(ids, True)
        show(host=MPIEnvironment.hostname)
        """, head=HEAD + "from sheaf import casalog\n", SHEAF_LOGFILE=str(log))
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert all(len(line) >= 4 for line in lines) and [line[0] for line in lines] == sorted(line[0] for line in lines)
    origins = {line[2].rpartition(":")[2] for line in lines if line[3].startswith("number ")}
    assert origins == {"MPIClient", "MPIServer-1", "MPIServer-2"}
    assert sum(line[3].startswith("number ") for line in lines) == 120


def test_processes_with_threads():
    """X processes with Y threads each: OMP_NUM_THREADS=Y mpisheaf -n X."""
    s = run("""
        show(omp=[r["ret"] for r in client.push_command_request("casalog.ompNumThreadsTest()", True, [1, 2])],
             env=value("os.environ['OMP_NUM_THREADS']", 1))
        """, OMP_NUM_THREADS="2")
    assert s["omp"] == [2, 2] and s["env"] == "2"


def test_status_table():
    s = run("""
        import io, contextlib, sheaf
        go = os.path.join(os.getcwd(), "go")
        ids = client.push_command_request("while not os.path.exists(go): time.sleep(0.01)", False, 1, {"go": go})
        client.wait_for_command_request_sent(ids)
        with contextlib.redirect_stdout(io.StringIO()) as table:
            sheaf.status()
        show(table=table.getvalue(), status=client.get_server_status(1))
        open("go", "w").close()
        client.get_command_response(ids, True)
        """)
    head, one, two = s["table"].splitlines()
    assert head.split() == ["rank", "host", "pid", "state", "elapsed", "memory", "threads", "done", "command"]
    assert one.split()[:4] == ["1", s["status"]["processor"], str(s["status"]["pid"]), "busy"] and "MB" in one
    assert one.endswith("while not os.path.exists(go): time.sleep(0.01)")
    assert two.split()[3] == "idle"
    assert s["status"]["memory"] > 1e6 and s["status"]["threads"] >= 1


def test_sigusr1_prints_the_table():
    process = begin("""
        import sheaf
        go = os.path.join(os.getcwd(), "go")
        print("ready", flush=True)
        threading.Timer(0.1, lambda: None).start()
        sheaf.slow(0.05)  # in C, where Python hears no signal
        wait_until(lambda: os.path.exists(go))
        """, LD_PRELOAD=preload(os.path.join(os.environ["SHEAF_BUILD"], "tests", "libfake_tasks.so")))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    line = process.stderr.readline()
    while line and "pid  state" not in line:
        line = process.stderr.readline()
    assert line.split()[:4] == ["rank", "host", "pid", "state"]
    open("go", "w").close()
    assert end(process).status == 0


FAKE_TABLE = """
import casacore.tables
class table:
    def __init__(self):
        self._name, self.did = "", []
    def open(self, tablename, lockoptions={}, nomodify=True):
        with casacore.tables.table(tablename, ack=False) as t:
            self.did.append(["open", nomodify, lockoptions, "CORRECTED_DATA" in t.colnames()])
        self._name, self._writable = tablename, not nomodify
    def close(self): self._name, _ = "", self.did.append("close")
    def flush(self): self.did.append("flush")
    def name(self): return self._name
    def iswritable(self): return self._writable
    def lockoptions(self): return {"option": "auto", "interval": 5.0, "maxwait": 0}
"""


def test_tools_of_casa_around_tasks(tmp_path):
    """CASA's table tools share their tables with its tasks; Sheaf's tasks have them closed, and opened anew."""
    for name, text in (("casatasks", ""), ("casatools", FAKE_TABLE)):
        (tmp_path / "casa" / name).mkdir(parents=True)
        (tmp_path / "casa" / name / "__init__.py").write_text(text)
    shutil.copytree(inputs.simulated(5, 2), tmp_path / "a.ms")
    with tables.table(str(tmp_path / "a.ms"), readonly=False, ack=False) as t:
        t.removecols([c for c in ("CORRECTED_DATA", "MODEL_DATA") if c in t.colnames()])
    s = run("""
        import os, casatools, casatasks
        os.chdir(WHERE)
        a, b, c, idle = [casatools.table() for i in range(4)]
        a.open("a.ms", nomodify=False)
        b.open(os.path.join(WHERE, "a.ms", "ANTENNA"))
        os.mkdir("other.ms")
        casatasks.clearcal("a.ms")
        casatasks.listobs(vis="a.ms")
        try:
            casatasks.clearcal("a.ms", nonsense=1)
        except TypeError as problem:
            show(why=str(problem))
        try:
            casatasks.flagdata(vis="a.ms", scan="77")
        except casatasks.sheaf.EmptyError:
            show(a=a.did, b=b.did, idle=idle.did)
        """.replace("WHERE", repr(str(tmp_path))), PYTHONPATH=f"{environment()['PYTHONPATH']}:{tmp_path / 'casa'}")
    anew = [["close", ["open", writing, {"option": "auto"}, new]] for writing, new in ((False, True), (True, False))]
    assert s["a"] == [["open", False, {}, False], *anew[0], "flush", *anew[0]]
    assert s["b"] == [["open", True, {}, False], *anew[1], *anew[1]]
    assert s["idle"] == [] and "nonsense" in s["why"]


def test_tasks_of_casa_on_servers(tmp_path):
    """Where CASA's casatasks is installed beside compat/, commands find the tasks that Sheaf lacks."""
    (tmp_path / "casa" / "casatasks").mkdir(parents=True)
    (tmp_path / "casa" / "casatasks" / "__init__.py").write_text("raise ImportError('not to be imported: compat/ is first')\n")
    (tmp_path / "casa" / "casatasks" / "fakecal.py").write_text("def fakecal(vis): return vis + '.cal'\n")
    (tmp_path / "casa" / "casatasks" / "listobs.py").write_text("def listobs(): return 'casa'\n")
    (tmp_path / "casa" / "casatasks" / "broken.py").write_text("raise OSError('no data')\n")
    path = environment()["PYTHONPATH"]
    s = run("""
        import casatasks
        show(cal=value('fakecal()', vis='a.ms'), ours=value('listobs.__module__'), here=casatasks.fakecal('b.ms'))
        import casatasks.listobs
        from casatasks import fakecal, listobs
        show(function=fakecal('c'), still=listobs.__module__, tasks=sorted(casatasks.__all__))
        try:
            from casatasks import tclean
        except ImportError as problem:
            show(why=str(problem))
        """, PYTHONPATH=f"{path}:{tmp_path / 'casa'}")
    assert (s["cal"], s["ours"], s["here"], s["function"], s["still"]) == ("a.ms.cal", "sheaf", "b.ms.cal", "c.cal", "sheaf")
    assert {"broken", "fakecal", "listobs", "partition"} <= set(s["tasks"])
    assert "tclean" in s["why"] and "task broken cannot be loaded" in s.err and "no data" in s.err
    s = run("show(why=client.push_command_request('fakecal', True)[0]['traceback'])",
            PYTHONPATH=f"{path.split(':')[0]}:{tmp_path / 'casa'}")
    assert "NameError" in s["why"]
