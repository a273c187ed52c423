# SPDX-License-Identifier: GPL-3.0-or-later
"""Client, servers and launcher: rounds of synthetic units (tests/tools/par_tool.c) at 1, 2, 3 and 5 ranks, and deaths."""
import os
import re
import signal
import time

import pytest

from runs import BUILD, MPISHEAF, Run, cpu_ticks, has_ended, kill, wait_for, wait_until

TOOL = os.path.join(BUILD, "tests", "par_tool")
RANKS = (1, 2, 3, 5)


def start(ranks, *words, program=(), **options):
    return Run(*(program or (MPISHEAF, "-n", str(ranks), TOOL)), *words, **options)


def run(ranks, *words, **options):
    return start(ranks, *words, **options).finish()


def kill_and_wait(pid):
    """When it is a zombie, its connections are closed."""
    kill(pid)
    wait_until(lambda: has_ended(pid), f"the end of {pid}")


def units(out):
    return [line for line in out.splitlines() if re.match(r"\d+\.\d+ ", line)]


@pytest.mark.parametrize("ranks", RANKS)
def test_merge_in_unit_order(ranks):
    status, out, err = run(ranks, "cost=1,cost=3+sleep=30,empty,cost=2,cost=9+sleep=60,empty,cost=1",
                           "nserver", "cost=5")
    assert status == 0, err
    found = [re.sub(r" rank.*", "", line) for line in units(out)]
    assert found == ["1.0", "1.1", "1.2 empty", "1.3", "1.4", "1.5 empty", "1.6", "3.0"]
    assert f"nserver={ranks - 1}" in out
    assert set(re.findall(r"common=(\d+)", out)) == {"101", "103"}
    used = {int(r) for r in re.findall(r"rank=(\d+)", out)}
    assert used <= (set(range(1, ranks)) or {0})


def test_largest_first():
    """One server: units run in order of cost, equal ones in unit order."""
    status, out, err = run(2, "cost=1+log,cost=5+log,cost=3+log,cost=5+log+sleep=1")
    assert status == 0, err
    status, out, err = run(2, "cost=1+fail,cost=5,cost=3+fail,cost=5")
    assert status == 1
    assert "o.mms.0002.ms (MPIServer-1" in err and "o.mms.0000" not in err


@pytest.mark.parametrize("ranks", RANKS)
def test_large_values(ranks):
    status, out, err = run(ranks, "bytes=5000000,bytes=0,bytes=3951,bytes=3952,bytes=4000,bytes=100000")
    assert status == 0, err
    assert re.findall(r"bytes=(\d+)", out) == ["5000000", "0", "3951", "3952", "4000", "100000"]


@pytest.mark.parametrize("ranks", RANKS)
def test_failure_names_everything(ranks):
    status, out, err = run(ranks, "sleep=50+cost=3,cost=2+fail,sleep=50,sleep=50,sleep=50")
    assert status == 1
    assert units(out) == []
    place = f" (MPIServer-{{}} on {os.uname().nodename})"
    texts = ["o.mms.0001.ms" + (place.format(r) if ranks > 1 else "") +
             ": table.f17_TSM1: No space left on device" for r in range(1, max(ranks, 2))]
    assert any(text in err for text in texts), err


def test_failure_stops_dealing(tmp_path):
    """Whoever failed gets no more; the other server is busy at that time."""
    status, _, err = run(3, "cost=9+fail,cost=8+sleep=1000," + ",".join(f"touch={tmp_path}/{i}+sleep=500" for i in range(30)))
    assert status == 1 and "o.mms.0000.ms" in err
    assert len(os.listdir(tmp_path)) < 15  # 0, unless the news of the failure takes a second


def test_rounds_after_failure_of_unit_kind():
    """All units empty is no failure."""
    status, out, err = run(3, "empty,empty,empty", "cost=1")
    assert status == 0, err
    assert len(units(out)) == 4


def test_log_and_progress_reach_the_client():
    status, out, err = run(3, "log+progress=5,log+progress=7")
    assert status == 0, err
    host = re.escape(os.uname().nodename)
    lines = re.findall(rf"\tINFO\ttool::::@{host}:MPIServer-[12]\thello from a unit\n"
                       rf".*\tINFO\ttool::::@{host}:MPIServer-[12]\+\tsecond line\n", err)
    assert len(lines) == 2, err
    assert "hello" not in out


@pytest.mark.parametrize("ranks", (3, 5))
def test_server_killed_in_a_unit(ranks, tmp_path):
    status, out, err = run(ranks, f"cost=9+sleep=20+die={tmp_path}/a,sleep=50,sleep=50,sleep=20", "nserver",
                           "sleep=10,sleep=10")
    assert status == 0, err
    assert len(units(out)) == 6
    assert f"nserver={ranks - 2}" in out
    assert re.search(r"WARN\t.*MPIServer-\d on \S+ \(pid \d+\) ended while it worked on o.mms.0000.ms", err)


@pytest.mark.parametrize("ranks", (2, 3))
def test_all_servers_killed(ranks):
    """Different units take one server each; the client finishes."""
    words = ",".join(f"cost={9 - i}+sleep=50+killserver" for i in range(ranks - 1))
    status, out, err = run(ranks, words + ",cost=1", "nserver", "sleep=1")
    assert status == 0, err
    assert "no server is left" in err and "nserver=0" in out
    assert len(units(out)) == ranks + 1
    assert set(re.findall(r"rank=(\d)", out)) <= {"0", "1", "2"}


def test_unit_that_kills_is_not_tried_for_ever():
    status, out, err = run(5, "sleep=5,cost=9+killserver,sleep=5")
    assert status == 1
    assert "o.mms.0001.ms (MPIServer-" in err and "not tried again" in err
    assert units(out) == []


def warnings(err):
    return re.findall(r"WARN\t[^\t]*\t(.*)", err)


@pytest.mark.parametrize("ranks", RANKS)
def test_unit_that_lost_its_process_is_tried_again(ranks, tmp_path):
    status, out, err = run(ranks, f"sleep=1,cost=9+lostonce={tmp_path}/a,sleep=1", "sleep=1")
    assert status == 0 and len(units(out)) == 4, err
    host = os.uname().nodename
    place = rf"o.mms.0001.ms( \(MPIServer-(\d) on {host}\))?: ended by signal 9; it is tried once more"
    (told,) = warnings(err)
    first = re.fullmatch(place, told).group(2)
    second = re.search(r"^1\.1 rank=(\d)", out, re.M).group(1)
    assert (first is None) == (ranks == 1)
    assert first != second or ranks <= 2  # on another server, if there is one


@pytest.mark.parametrize("ranks", RANKS)
def test_unit_that_loses_its_process_again_fails(ranks):
    status, out, err = run(ranks, "sleep=1,cost=9+lost,sleep=1")
    assert status == 1 and units(out) == []
    told = warnings(err)
    assert len(told) == 2 and "once more" in told[0] and told[1].endswith("ended by signal 9, as before; not tried again")
    assert re.search(r"tool: o\.mms\.0001\.ms.*: ended by signal 9$", err, re.M)


@pytest.mark.parametrize("calls", (0, 1, 2, 3))
def test_servers_are_free_after_an_error_of_mpi(calls, tmp_path):
    """Common value and unit to the first server, then to the second; what was sent before is given up."""
    a, b = tmp_path / "a", tmp_path / "b"
    status, out, err = run(3, f"breaksend={calls}", "try:hang,hang", f"touch={a}+await={b},touch={b}+await={a}")
    assert status == 0, err
    assert re.search("^failed: MPI_Isend: ", out, re.M)
    assert set(re.findall(r"^3\.\d rank=(\d)", out, re.M)) == {"1", "2"}


def test_server_that_dies_in_a_unit_that_was_given_up():
    """The unit of a round before is not put into this one."""
    status, out, err = run(3, "breaksend=3", "try:kill,hang", "servers=1", "sleep=1", "sleep=1,sleep=1")
    assert status == 0 and len(units(out)) == 3, err


def test_idle_server_killed(tmp_path):
    job = start(3, f"touch={tmp_path}/ready", f"until={tmp_path}/go", "servers=1", "sleep=20,sleep=20")
    wait_for(tmp_path / "ready")
    kill_and_wait(job.rank(1, "par_tool"))
    (tmp_path / "go").touch()
    status, out, err = job.finish()
    assert status == 0 and len(units(out)) == 3, err


def test_server_killed_before_it_is_ready(tmp_path):
    """mpirun's other ranks would wait for it for ever."""
    job = start(3, f"until={tmp_path}/go")
    kill_and_wait(job.rank(2, "par_tool"))
    (tmp_path / "go").touch()
    status, _, err = job.finish()
    assert (status == 1 and "ended before it had started" in err) or \
           (status == 0 and "MPIServer-2" in err), err  # 0: it had been ready


@pytest.mark.parametrize("ranks", (1, 2, 3))
def test_client_killed(ranks, tmp_path):
    job = start(ranks, ",".join(f"touch={tmp_path}/{i}+hang" for i in range(3)))
    for i in range(max(1, ranks - 1)):
        wait_for(tmp_path / str(i))
    kill(job.rank(0, "par_tool"))
    assert job.finish()[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize("ranks", (1, 2, 3))
@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGTERM))
def test_interrupt(ranks, sig, tmp_path):
    job = start(ranks, f"cost=9+touch={tmp_path}/ready+hang,hang,hang,hang")
    wait_for(tmp_path / "ready")
    job.process.send_signal(sig)
    status, out, err = job.finish()  # hang would take 1000 s
    assert status == 1
    assert f"interrupted by signal {sig.name}" in err


def test_interrupt_of_the_client_alone(tmp_path):
    job = start(3, f"cost=9+touch={tmp_path}/ready+hang,hang,hang,hang")
    wait_for(tmp_path / "ready")
    kill(job.rank(0, "par_tool"), signal.SIGINT)
    status, _, err = job.finish()
    assert status == 1 and "interrupted by signal SIGINT" in err


@pytest.mark.parametrize("victim", ("launcher", "mpirun", "attendant"))
def test_helper_killed(victim, tmp_path):
    """Whoever of the processes that hold the others is killed: nothing is left."""
    job = start(3, f"cost=9+touch={tmp_path}/ready+hang,hang,hang,hang")
    wait_for(tmp_path / "ready")
    pids = {"launcher": [job.process.pid],
            "mpirun": job.named("orterun", "mpirun"),
            "attendant": [job.rank(0, "mpisheaf")]}[victim]
    assert len(pids) == 1
    kill(pids[0])
    status, _, _ = job.finish()
    assert status != 0


def test_attendant_of_a_server_killed(tmp_path):
    """Its server ends with it, and the work goes elsewhere."""
    job = start(3, f"cost=9+touch={tmp_path}/ready+sleep=500,sleep=500,sleep=500,sleep=500")
    wait_for(tmp_path / "ready")
    kill(job.rank(2, "mpisheaf"))
    status, out, err = job.finish()
    assert status == 0 and len(units(out)) == 4, err


@pytest.mark.parametrize("status", (0, 1, 2, 7, 200))
def test_exit_status_is_the_clients(status):
    assert run(3, "sleep=1", f"exit={status}")[0] == status


def test_plain_mpirun():
    program = ("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3", TOOL)
    status, out, err = run(3, "cost=1,cost=2,empty", "nserver", program=program)
    assert status == 0, err
    assert len(units(out)) == 3 and "nserver=2" in out


def test_child_of_a_rank_is_no_rank(tmp_path):
    script = tmp_path / "nested"
    script.write_text(f"#!/bin/sh\nexport SHEAF_PAR_PID=1\nexec {TOOL} nserver\n")
    script.chmod(0o755)
    status, out, err = run(2, program=(MPISHEAF, "-n", "2", str(script)))
    assert status == 0, err
    assert "nserver=0" in out


def test_idle_servers_cost_nothing(tmp_path):
    job = start(3, f"touch={tmp_path}/ready", f"until={tmp_path}/go")
    wait_for(tmp_path / "ready")
    pid = job.rank(2, "par_tool")

    def used():
        """The part of a processor that the server takes for two seconds."""
        before, began = cpu_ticks(pid), time.monotonic()
        time.sleep(2)
        return (cpu_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    wait_until(lambda: used() <= 0.02, "a server that rests")  # it may just have become idle
    (tmp_path / "go").touch()
    assert job.finish()[0] == 0


def test_latency():
    """An empty unit there and back: on a machine with a free core 20 to 60 us. Without rings it would be a thousand."""
    status, out, err = run(2, "latency=2000")
    assert status == 0, err
    print(out)
    assert float(re.search(r"min=([\d.]+)", out).group(1)) < 1000
