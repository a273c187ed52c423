# SPDX-License-Identifier: GPL-3.0-or-later
"""What may go wrong with Python commands: each case ends well, the answer names the cause, and the session goes on."""

import os
import signal
import time

import pytest

from commands import HEAD, LIMIT_S, begin, end, run
from runs import preload

ONE = "def one(*given, **named): return client.push_command_request(*given, **named)[0]\n"


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command,word", [
    ("raise KeyError('k')", "KeyError: 'k'"), ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"), ("exit()", "SystemExit"),
    ("lambda: 1", "pickle"), ("open('/dev/null')", "pickle"), ("(i for i in range(3))", "pickle"),
    ("import threading; x = threading.Lock()\nraise RuntimeError(x)", "RuntimeError"),
    ("class E(Exception):\n  def __str__(self): raise ValueError\nraise E()", "E: <exception str() failed>"),
    ("sys.stdout.close()\nraise OSError('closed')", "closed"),
])
def test_failures_that_the_server_survives(command, word, failures):
    response, pid = failures[command]
    assert (response["successful"], response["ret"], response["status"]) == (False, None, "response received")
    assert word in response["traceback"] and response["server"] == 1
    assert pid == failures["pid"]  # the same process goes on


@pytest.fixture(scope="module")
def failures():
    commands = [m.args[1] for m in test_failures_that_the_server_survives.pytestmark if m.name == "parametrize"][0]
    lines = "\n".join(f"show(**{{{c!r}: [one({c!r}, True, 1), value('os.getpid()', 1)]}})" for c, _ in commands)
    return run("show(pid=value('os.getpid()', 1))\n" + lines, head=HEAD + ONE)


def test_result_that_the_client_cannot_rebuild():
    s = run("""
        r = one("class Odd:\\n  def __reduce__(self): return (int, ('x',))", True, 1)
        r = one("Odd()", True, 1)
        show(ok=r["successful"], why=r["traceback"], ret=r["ret"], after=value("2", 1))
        """, head=HEAD + ONE)
    assert s["ok"] is False and "cannot be rebuilt" in s["why"] and s["ret"] is None and s["after"] == 2


def test_parameters_that_the_server_cannot_rebuild():
    s = run("""
        class Odd:
            def __reduce__(self): return (int, ("x",))
        r = one("1", True, 1, {"a": Odd()})
        show(ok=r["successful"], why=r["traceback"], after=value("2", 1))
        """, head=HEAD + ONE)
    assert s["ok"] is False and "ValueError" in s["why"] and s["after"] == 2


def test_output_of_megabytes():
    s = run("""
        r = one("for i in range(50000): print('x' * 99)", True, 1)
        show(ok=r["successful"], after=value("2", 1))
        """, head=HEAD + ONE)
    assert s["ok"] is True and s["after"] == 2
    assert s.err.count("x" * 99 + "\n") == 50000 and "xxx" not in s.out


@pytest.mark.parametrize("command,how", [
    ("os._exit(3)", "exit status 3"), ("os.abort()", "signal 6"),
    ("import ctypes, signal; signal.signal(signal.SIGSEGV, signal.SIG_DFL); ctypes.string_at(0)", "signal 11"),
    ("os.kill(os.getpid(), 9)", "signal 9"),
])
def test_death_of_a_server(command, how):
    """A sanitizer (tests/sanitize) would handle SIGSEGV otherwise."""
    s = run(f"""
        pid = value("os.getpid()", 1)
        later = client.push_command_request({command!r}, False, 1) + client.push_command_request("1", False, 1)
        r, waiting = client.get_command_response(later, True)
        show(r=r, waiting=waiting, pid=pid, host=MPIEnvironment.hostname, other=value("1+1", 2), any=value("1+1"))
        show(status=client.get_server_status(1), refused=client.push_command_request("1", True, [1]),
             listed=client.push_command_request("1", True, [2, 1]))
        import sheaf
        show(servers=sheaf.nservers())
        """)
    r = s["r"]
    assert (r["successful"], r["ret"], r["status"], r["server"]) == (False, None, "server lost", 1)
    for word in ("MPIServer-1", s["host"], str(s["pid"]), how):
        assert word in r["traceback"]
    assert s["waiting"]["successful"] is False and "before this command was sent" in s["waiting"]["traceback"]
    assert s["other"] == s["any"] == 2 and s["servers"] == 1
    assert s["status"]["timeout"] is True and s["status"]["alive"] is False
    assert s["refused"] is None and s["listed"] is None and "Server #1 has ended" in s.err


def test_death_of_all_servers():
    s = run("""
        ids = client.push_command_request("os._exit(1)", False, [1, 2]) + client.push_command_request("1", False)
        show(responses=client.get_command_response(ids, True), none=client.push_command_request("1", True))
        import sheaf
        show(servers=sheaf.nservers(), task=sheaf.slow(0.01))
        """, LD_PRELOAD=preload(os.path.join(os.environ["SHEAF_BUILD"], "tests", "libfake_tasks.so")))
    assert [r["successful"] for r in s["responses"]] == [False] * 3
    assert s["none"] is None and s["servers"] == 0 and s["task"] == 10
    assert "no server is left" in s.err


def test_killed_from_outside_while_idle_and_while_blocked():
    s = run("""
        os.kill(value("os.getpid()", 1), signal.SIGKILL)
        wait_until(lambda: not client.get_server_status(1)["alive"])
        pid = value("os.getpid()", 2)
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        r = one("time.sleep(1000)", True, 2)
        show(ok=r["successful"], why=r["traceback"], pid=pid)
        """, head=HEAD + ONE)
    assert s["ok"] is False and str(s["pid"]) in s["why"] and "signal 9" in s["why"]


def test_retry_goes_to_another_server(tmp_path):
    s = run(f"""
        import numpy, textwrap
        define = textwrap.dedent('''
            def once():
                try:
                    os.close(os.open({str(tmp_path / "mark")!r}, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    return float(a.sum())
                os._exit(1)
        ''')
        client.push_command_request(define, True, [1, 2])
        r = client.push_command_request("[once(), a.size]", True, None, {{"a": numpy.ones(500000)}}, True)[0]
        show(ok=r["successful"], ret=r["ret"], why=r["traceback"])
        r = client.push_command_request("os._exit(1)", True, None, None, True)[0]
        show(never=r["successful"], none=client.push_command_request("1", True))
        """)
    assert s["ok"] is True and s["ret"] == [500000.0, 500000], s["why"]
    assert s["never"] is False and s["none"] is None  # the last server is gone, too


def test_without_retry_a_command_is_not_repeated():
    s = run("""
        r = client.push_command_request("os._exit(1)", True)[0]
        show(ok=r["successful"], left=sorted(n for n, status in client.get_server_status().items() if status["alive"]))
        """)
    assert s["ok"] is False and s["left"] == [1]


def test_interrupting_a_command():
    s = run("""
        ids = client.push_command_request("while True: pass", False, 1) + client.push_command_request("5", False, 1) \\
            + client.push_command_request("6", False, 1)
        client.wait_for_command_request_sent(ids[:1])
        client.interrupt_command_request([ids[1]])  # it waits
        client.interrupt_command_request([ids[0]])
        first, second, third = client.get_command_response(ids, True)
        show(first=first, second=second, third=third["ret"])
        ids = client.push_command_request("time.sleep(10000)", False, 2)
        client.wait_for_command_request_sent(ids)
        client.interrupt_command_request(ids)
        show(sleep=client.get_command_response(ids, True)[0]["traceback"])
        client.interrupt_command_request(ids)  # nothing happens
        ids = client.push_command_request(
            "while True:\\n  try: time.sleep(100)\\n  except KeyboardInterrupt: pass",
            False, 1)
        client.wait_for_command_request_sent(ids)
        client.interrupt_command_request(ids)
        client.interrupt_command_request(ids, force=True)
        show(forced=client.get_command_response(ids, True)[0], left=value("1", 2))
        """)
    assert s["first"]["successful"] is False and "KeyboardInterrupt" in s["first"]["traceback"]
    assert s["second"]["successful"] is False and "interrupted" in s["second"]["traceback"]
    assert s["third"] == 6 and "KeyboardInterrupt" in s["sleep"]
    assert s["forced"]["status"] == "server lost" and s["left"] == 1


def test_interrupts_at_any_instant_hit_only_their_command():
    s = run("""
        import random
        ok = 0
        for i in range(200):
            ids = client.push_command_request("sum(range(2000))", False, 1)
            if i % 2: time.sleep(random.random() * 3e-4)
            client.interrupt_command_request(ids)
            r = client.get_command_response(ids, True)[0]
            assert r["successful"] or "nterrupt" in r["traceback"], r
            ok += r["successful"]
            assert value("3", 1) == 3
        show(done=True, pid=value("os.getpid()", 1) == client.get_server_status(1)["pid"])
        """)
    assert s["done"] and s["pid"] is True


CTRL_C = """
def ctrl_c_when_busy(*ranks):
    def wait():
        wait_until(lambda: all(client.get_server_status(rank)["busy"] for rank in ranks))
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=wait).start()
"""


def test_ctrl_c_once_in_a_blocking_command():
    s = run("""
        ctrl_c_when_busy(1, 2)
        try:
            client.push_command_request("while True: pass", True, [1, 2])
        except KeyboardInterrupt:
            show(after=[value("2", 1), value("3", 2)])
        """, head=HEAD + CTRL_C)
    assert s["after"] == [2, 3]


def test_ctrl_c_while_waiting_leaves_the_command_alone():
    s = run("""
        ids = client.push_command_request("while not os.path.exists(p): time.sleep(0.01)", False, 1,
                                          {"p": os.getcwd() + "/go"})
        try:
            ctrl_c_when_busy(1)
            client.get_command_response(ids, True)
        except KeyboardInterrupt:
            show(still=client.get_server_status(1)["busy"])
        open("go", "w").close()
        show(end=client.get_command_response(ids, True)[0]["successful"])
        """, head=HEAD + CTRL_C)
    assert s["still"] is True and s["end"] is True


def test_ctrl_c_twice_ends_the_session():
    process = begin("""
        pids = [client.get_server_status(r)["pid"] for r in (1, 2)]
        try:
            print("ready", os.getpid(), *pids, flush=True)
            client.push_command_request("while True:\\n  try: time.sleep(1)\\n  except KeyboardInterrupt: pass", True, 1)
        except KeyboardInterrupt:
            print("once", flush=True)
            while True: time.sleep(0.01)
        """)
    pids = [int(word) for word in process.stdout.readline().split()[1:]]
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "once\n"
    process.send_signal(signal.SIGINT)
    s = end(process)
    assert s.status in (1, 130), s.err
    assert gone(pids)


def gone(pids):
    """Waits until these processes have ended."""
    limit = time.monotonic() + LIMIT_S
    while any(lives(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.02)
    return not any(lives(pid) for pid in pids)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def shared_files(pids):
    """Files of shared memory that these processes have mapped or open."""
    found = set()
    for pid in pids:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            found |= {line[line.index("/dev/shm/"):].strip() for line in maps if "/dev/shm/" in line}
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
            except FileNotFoundError:
                pass
    return {name for name in found if name.startswith("/dev/shm/")}


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_death_of_the_client_ends_the_servers(sig, tmp_path):
    """Within 2 s (one of three tries, on a busy machine); no shared memory and no temporary directory stays."""
    (tmp_path / "temporary").mkdir()
    for _ in range(3):
        process = begin("""
            client.push_command_request("while True: pass", False, 1)
            print("ready", os.getpid(), *[client.get_server_status(r)["pid"] for r in (1, 2)], flush=True)
            time.sleep(1000)
            """, TMPDIR=str(tmp_path / "temporary"))
        pids = [int(word) for word in process.stdout.readline().split()[1:]]
        shared = shared_files(pids)
        start = time.monotonic()
        os.kill(pids[0], sig)
        assert gone(pids)
        took = time.monotonic() - start
        s = end(process)
        assert s.status == 128 + sig
        assert not [name for name in shared if os.path.exists(name)] and os.listdir(tmp_path / "temporary") == []
        if took < 2:
            return
    pytest.fail(f"the servers ended after {took:.2f} s")


@pytest.mark.parametrize("busy", [True, False])
def test_death_of_a_server_is_known_within_two_seconds(busy):
    """One of three tries, on a busy machine."""
    s = run(f"""
        took = []
        for rank in (1, 2, 3):
            ids = client.push_command_request("time.sleep(1000)", False, rank) if {busy} else []
            client.wait_for_command_request_sent(ids)
            os.kill(client.get_server_status(rank)["pid"], signal.SIGKILL)
            start = time.monotonic()
            client.get_command_response(ids, True)
            wait_until(lambda: not client.get_server_status(rank)["alive"])
            took.append(time.monotonic() - start)
        show(took=took)
        """, ranks=4)
    assert min(s["took"]) < 2


def test_idle_servers_cost_nothing():
    """Under 2 % of a core, in one of ten spans of a second."""
    s = run("""
        value("1", 1), value("1", 2)
        pids = [client.get_server_status(r)["pid"] for r in (1, 2)]
        def ticks():
            return [sum(map(int, open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[11:13])) for pid in pids]
        used = []
        for i in range(10):
            before = ticks()
            time.sleep(1)
            used.append(max(b - a for a, b in zip(before, ticks())) / os.sysconf("SC_CLK_TCK"))
            if used[-1] < 0.02: break
        show(used=used)
        """)
    assert min(s["used"]) < 0.02


def test_silent_server():
    s = run("""
        client.set_server_timeout(2)
        pid = client.get_server_status(1)["pid"]
        ids = client.push_command_request("time.sleep(0.1); 5", False, 1)
        os.kill(pid, signal.SIGSTOP)
        ids += client.push_command_request("6", False, 1)
        r, queued = client.get_command_response(ids, True)
        show(r=r, queued=queued, status=client.get_server_status(1)["timeout"], refused=client.push_command_request("1", True, [1]))
        show(other=[value("1") for i in range(3)], host=MPIEnvironment.hostname, pid=pid)
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: client.get_command_request_list()[ids[1]]["status"] == "response received")
        show(late=client.get_command_response(ids, True), back=value("7", 1), after=client.get_server_status(1)["timeout"])
        """)
    assert (s["r"]["successful"], s["r"]["status"], s["r"]["ret"]) == (False, "timeout", None)
    assert s["r"]["traceback"] == f"Timeout of assigned server n# 1 deployed at {s['host']} with PID {s['pid']}"
    assert s["queued"]["status"] == "timeout" and s["status"] is True and s["refused"] is None
    assert s["other"] == [1, 1, 1]
    assert [r["successful"] for r in s["late"]] == [True, True] and s["back"] == 7 and s["after"] is False
    assert "no sign of life" in s.err and "is heard again" in s.err


def test_unit_of_a_silent_server_goes_to_another():
    s = run("""
        import sheaf
        client.set_server_timeout(2)
        pid = client.get_server_status(2)["pid"]
        threading.Timer(0.2, os.kill, (pid, signal.SIGSTOP)).start()
        show(task=sheaf.slow(0.1))
        """, LD_PRELOAD=preload(os.path.join(os.environ["SHEAF_BUILD"], "tests", "libfake_tasks.so")))
    assert s["task"] == 10


def test_all_servers_silent():
    s = run("""
        client.set_server_timeout(2)
        pids = [client.get_server_status(r)["pid"] for r in (1, 2)]
        for pid in pids: os.kill(pid, signal.SIGSTOP)
        r = one("1", True)
        show(status=r["status"])
        for pid in pids: os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not any(s["timeout"] for s in client.get_server_status().values()))
        show(back=value("2"))
        """, head=HEAD + ONE)
    assert s["status"] == "timeout" and s["back"] == 2


def test_ten_thousand_requests():
    s = run("""
        ids = []
        for i in range(10000):
            ids += client.push_command_request(f"{i}", False, None if i % 2 else 1)
        responses = client.get_command_response(ids, True)
        show(same=[r["ret"] for r in responses] == list(range(10000)), listed=len(client.get_command_request_list()))
        """)
    assert s["same"] is True and s["listed"] == 10000


def memory_gb():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable")) / 1e6


@pytest.mark.skipif(memory_gb() < 8, reason="needs 8 GB of memory")
def test_a_gigabyte_each_way():
    pytest.importorskip("numpy")
    s = run("""
        import numpy as np
        a = np.full(1 << 30, 7, dtype=np.uint8)
        a[-1] = 9
        back = one("a", True, 1, {"a": a})["ret"]
        show(n=back.size, ends=[int(back[0]), int(back[-1])], after=value("1", 1))
        """, head=HEAD + ONE)
    assert s["n"] == 1 << 30 and s["ends"] == [7, 9] and s["after"] == 1


@pytest.mark.parametrize("force", [False, True])
def test_stop_with_requests_pending(force):
    s = run(f"""
        ids = client.push_command_request("time.sleep({1000 if force else 0.5}); done = 1", False, 1)
        ids += client.push_command_request("1", False, 1)
        client.wait_for_command_request_sent(ids[:1])
        client.stop_services({force})
        first, second = client.get_command_response(ids, True)
        show(first=first["successful"], second=second["successful"], state=client.get_lifecyle_state())
        """)
    assert s["first"] is not force and s["second"] is False and s["state"] == 2
    assert "Aborting command request with id# 2" in s.err


def test_end_of_the_script_with_requests_pending():
    s = run("""
        show(pids=[client.get_server_status(r)["pid"] for r in (1, 2)])
        client.push_command_request("time.sleep(10000)", False, [1, 2, 1])
        """)
    assert gone(s["pids"]) and s.err.count("Aborting command request with id# ") >= 2


def test_log_directory_that_cannot_be_written(tmp_path):
    s = run("show(two=value('1+1'))", SHEAF_LOGFILE="", cwd="/proc")
    assert s["two"] == 2 and "No log file: " in s.err
    missing = str(tmp_path / "no" / "such.log")
    head = HEAD.replace("client.start_services()", """
try:
    client.start_services()
except Exception as problem:
    show(why=str(problem), state=client.get_lifecyle_state())
""")
    s = run("", head=head, SHEAF_LOGFILE=missing)
    assert missing in s["why"] and s["state"] == 0
