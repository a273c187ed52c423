# SPDX-License-Identifier: GPL-3.0-or-later
"""mpisheaf over two hosts (hosts.py). tests/cluster/two-hosts runs this with ssh, and the slower tests, too."""
import json
import os
import re
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fault"))
import faults  # noqa: E402
import hosts  # noqa: E402
import inputs  # noqa: E402
from outputs import differing, files  # noqa: E402
from runs import BUILD, MPISHEAF, SHEAF, Run, environment_of, kill, wait_for  # noqa: E402

LONG = bool(os.environ.get("SHEAF_CLUSTER_LONG"))
AGENT = os.environ.get("SHEAF_CLUSTER_AGENT", "rsh")
TOOL = os.path.join(BUILD, "tests", "par_tool")
slow = pytest.mark.skipif(not LONG, reason="tests/cluster/two-hosts runs it")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Hosts ada, where the user is, and bob."""
    if reason := hosts.missing():
        pytest.skip(reason)
    cluster = hosts.Hosts(tmp_path_factory.mktemp("cluster"), ("ada", "bob"), AGENT)
    yield cluster
    cluster.close()


@pytest.fixture
def mpisheaf(cluster, tmp_path):
    """Starts it on ada; ranks 0 and 1 are there, 2 and 3 on bob, unless the options say otherwise."""
    (tmp_path / "hosts").write_text("# two of them\nada slots=2\nbob slots=2\n")

    def start(*words, options=("-hostfile", "hosts"), log="none", **environment):
        env = dict(cluster.environment(), SHEAF_LOGFILE=str(log), **environment)
        return Run(*cluster.all[0].words(MPISHEAF, *options, *words, cwd=tmp_path), env=env)
    return start


def serial(folder, *words):
    """The files of what partition makes without MPI."""
    folder.mkdir()
    done = faults.sheaf("partition", "vis=" + inputs.ngc5921(), "outputvis=o.mms", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return files(folder / "o.mms")


def test_partition_on_two_hosts(mpisheaf, tmp_path):
    status, out, err = mpisheaf("sheaf", "partition", "vis=" + inputs.ngc5921(), "outputvis=o.mms", "numsubms=5",
                                log="a.log", SHEAF_LOG="DEBUG").finish()
    assert status == 0 and out == "", err
    assert differing(files(tmp_path / "o.mms"), serial(tmp_path / "serial", "numsubms=5")) == []
    assert faults.verify(str(tmp_path / "o.mms")) == ""
    origins = set(re.findall(r"partition::::@(\w+:\w+(?:-\d)?)", (tmp_path / "a.log").read_text()))
    assert origins == {"ada:MPIClient", "ada:MPIServer-1", "bob:MPIServer-2", "bob:MPIServer-3"}


def test_server_on_the_other_host_killed(mpisheaf, tmp_path):
    """It is stopped in the middle of its work, and killed then."""
    (tmp_path / "out").mkdir()
    place = faults.Place(tmp_path, ["partition", "vis=" + inputs.ngc5921(), "outputvis=out/o.mms", "numsubms=5"], "o.mms")
    env = place.environment(do="STOP", at=6, ops="pwrite", under="_TSM", rank=3)
    job = mpisheaf(SHEAF, "--nologfile", *place.command, options=("-hostfile", "hosts", "-x", "LD_PRELOAD"),
                   **{name: value for name, value in env.items() if name == "LD_PRELOAD" or name.startswith("SHEAF_FAULT")})
    victim = job.wait_stopped()
    assert job.rank(3, "sheaf") == victim
    kill(victim)
    status, out, err = job.finish()
    assert status == 0, err
    assert re.search(r"WARN\t.*MPIServer-3 on bob \(pid \d+\) ended while it worked on o\.mms\.000\d\.ms", err)
    assert sorted(os.listdir(place.out)) == ["o.mms", "o.mms.flagversions"]
    assert differing(files(place.output), serial(tmp_path / "serial", "numsubms=5")) == []


@pytest.mark.parametrize("options, text", ((("-hostfile", "wrong"), "wrong, line 2: the host 'nowhere' is not known here"),
                                           (("-host", "ada,nowhere"), "-host: the host 'nowhere' is not known here")))
def test_unknown_host(options, text, mpisheaf, tmp_path):
    (tmp_path / "wrong").write_text("ada slots=2\nnowhere slots=2  # it is not there\n")
    status, out, err = mpisheaf(SHEAF, "--version", options=options).finish()
    assert status == 1 and out == ""
    told = [line for line in err.splitlines() if line.startswith("mpisheaf: ")]
    assert len(told) == 1 and told[0].startswith("mpisheaf: " + text), err
    assert "ORTE" not in err and len(err.splitlines()) <= 4, err


def test_client_on_the_other_host(mpisheaf):
    """Streams and status take the long way."""
    status, out, err = mpisheaf("sheaf", "--json", "listobs", "vis=" + inputs.ngc5921(), options=("-host", "bob:3")).finish()
    assert status == 0 and "@bob:MPIClient" in err, err
    assert json.loads(out)["numrecords"] == 22653
    status, out, err = mpisheaf(TOOL, "sleep=1,sleep=1", "exit=7", options=("-host", "bob:2")).finish()
    assert status == 7, err


@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
def test_launcher_ends(sig, mpisheaf, tmp_path):
    """No process is left on any host; finish() looks."""
    job = mpisheaf(TOOL, ",".join(f"touch={tmp_path}/{i}+hang" for i in range(3)))
    for i in range(3):
        wait_for(tmp_path / str(i))
    (launcher,) = [pid for pid in job.named("mpisheaf") if b"OMPI_COMM_WORLD_RANK" not in environment_of(pid)]
    kill(launcher, sig)
    status, out, err = job.finish()
    assert status != 0
    if sig != signal.SIGKILL:
        assert f"interrupted by signal {sig.name}" in err


@slow
def test_no_installation_on_the_other_host(tmp_path, tmp_path_factory):
    cluster = hosts.Hosts(tmp_path_factory.mktemp("cluster"), ("ada", "eve"), AGENT)
    try:
        (tmp_path / "empty").mkdir()
        cluster.all[1].do("mount", "--bind", str(tmp_path / "empty"), os.path.dirname(SHEAF))
        job = Run(*cluster.all[0].words(MPISHEAF, "-host", "ada:1,eve:1", SHEAF, "--version"), env=cluster.environment())
        status, out, err = job.finish()
        assert status == 1 and out == "", err
        assert "did not start within 120 s; each host needs this installation under the same path" in err
    finally:
        cluster.close()


@slow
def test_cable_pulled(tmp_path, tmp_path_factory):
    """While a server is at work beyond it. The task finishes or fails, all processes on both hosts end, and the output is
    whole or not there."""
    cluster = hosts.Hosts(tmp_path_factory.mktemp("cluster"), ("ada", "joe"), AGENT)
    try:
        (tmp_path / "out").mkdir()
        place = faults.Place(tmp_path, ["partition", "vis=" + inputs.ngc5921(), "outputvis=out/o.mms", "numsubms=5"], "o.mms")
        env = place.environment(do="STOP", at=6, ops="pwrite", under="_TSM", rank=2)
        words = [MPISHEAF, "-host", "ada:2,joe:1", "-x", "LD_PRELOAD", SHEAF, "--nologfile", *place.command]
        job = Run(*cluster.all[0].words(*words, cwd=tmp_path), env=dict(env, **cluster.agent_environment()))
        victim = job.wait_stopped()
        cluster.all[1].do("ip", "link", "set", "eth0", "down")
        kill(victim, signal.SIGCONT)
        status, out, err = job.finish()
        assert "MPIServer-2 on joe" in err, err
        if status == 0:
            assert faults.verify(place.output) == "" and sorted(os.listdir(place.out)) == ["o.mms", "o.mms.flagversions"]
        else:
            assert [name for name in os.listdir(place.out) if not name.startswith(".")] == []
            assert faults.judge_death(place) == []
    finally:
        cluster.close()
