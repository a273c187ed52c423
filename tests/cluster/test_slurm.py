# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of docs/cluster.md under Slurm on two nodes (hosts.py); tests/cluster/slurm runs this."""
import json
import os
import re
import socket
import subprocess

import pytest

import hosts
import inputs
import runs

pytestmark = pytest.mark.skipif(not os.environ.get("SHEAF_CLUSTER_SLURM"), reason="tests/cluster/slurm runs it")
CPUS = 16  # of each node; there need not be as many
CONFIG = """ClusterName=pair
SlurmctldHost=ada({net}1)
AuthType=auth/munge
AuthInfo=socket=/run/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
NodeName=ada NodeAddr={net}1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
NodeName=bob NodeAddr={net}2 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ada,bob Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """Slurm's daemons on two hosts."""

    def __init__(self, folder):
        self.hosts, self.daemons = hosts.Hosts(folder, ("ada", "bob")), []
        self.config = os.path.join(folder, "slurm.conf")
        os.mkdir(os.path.join(folder, "state"))
        with open(self.config, "w") as f:
            f.write(CONFIG.format(net=hosts.NET, folder=folder, cpus=CPUS))
        key = os.path.join(folder, "munge.key")
        with open(key, "wb") as f:
            f.write(os.urandom(1024))
        os.chmod(key, 0o400)
        for host in self.hosts.all:
            self.daemon(host, "munged", "--foreground", "--force", "--key-file", key, "--socket=/run/munge.socket",
                        "--pid-file=/run/munged.pid", "--log-file", os.path.join(folder, f"munged.{host.name}.log"),
                        "--seed-file=/run/munged.seed")
            runs.wait_until(lambda: not subprocess.run(host.words("test", "-S", "/run/munge.socket")).returncode, "munged")
        self.daemon(self.hosts.all[0], "slurmctld", "-D", "-f", self.config)
        for host in self.hosts.all:
            self.daemon(host, "slurmd", "-D", "-N", host.name, "-f", self.config)
        runs.wait_until(lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D").stdout.strip() == "2", "both nodes are idle")

    def daemon(self, host, *command):
        self.daemons.append(subprocess.Popen(host.words(*command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL, env=self.environment()))

    def environment(self):
        return dict(os.environ, SLURM_CONF=self.config)

    def run(self, *words, cwd="/", **options):
        """A command on ada."""
        return subprocess.run(self.hosts.all[0].words(*words, cwd=cwd), env=self.environment(), capture_output=True, text=True,
                              timeout=runs.LIMIT_S, **options)

    def close(self):
        self.hosts.close()
        for daemon in self.daemons:
            daemon.wait()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if reason := hosts.missing():
        pytest.skip(reason)
    folder = str(tmp_path_factory.mktemp("slurm"))
    slurm = Slurm(folder)
    yield slurm
    slurm.close()


TELL = """import json, os
import sheaf
client = sheaf.MPICommandClient()
client.start_services()
servers = sheaf.MPIEnvironment.mpi_server_rank_list()
what = "[sheaf.MPIEnvironment.hostname, os.environ['OMP_NUM_THREADS'], sheaf.casalog.ompNumThreadsTest(), len(os.sched_getaffinity(0))]"
print(json.dumps([os.uname().nodename] + [r["ret"] for r in client.push_command_request(what, True, servers)]))
sheaf.partition(vis=os.environ["VIS"], outputvis="o.mms")
raise SystemExit(3)
"""


@pytest.fixture
def batch(slurm, tmp_path):
    """Runs a template of docs/cluster.md to its end; status and output."""
    (tmp_path / "script.py").write_text(TELL)

    def run(directives, body, wait=("-W",)):
        lines = ["#!/bin/bash", *(f"#SBATCH {one}" for one in (*directives, "--output=out")), f"export PATH={runs.BUILD}/bin:$PATH",
                 "export SHEAF_LOGFILE=log.txt VIS=" + inputs.ngc5921(), *body]
        (tmp_path / "job").write_text("\n".join(lines) + "\n")
        done = slurm.run("sbatch", *wait, "--export=NONE", "job", cwd=tmp_path)
        out = (tmp_path / "out").read_text() if wait else ""
        return done, out
    return run


def told(out):
    return json.loads(next(line for line in out.splitlines() if line.startswith("[")))


START = 'exec mpisheaf -n "$SLURM_NTASKS" sheaf -c script.py'
THREADS = "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"


@pytest.mark.parametrize("directives, body, servers", [
    (["--nodes=1", "--ntasks=4"], [START], [("ada", "1")] * 3),
    (["--nodes=1", "--ntasks=4", "--cpus-per-task=4"], [THREADS, START], [("ada", "4")] * 3),
    (["--nodes=2", "--ntasks-per-node=3"], [START], [("ada", "1")] * 2 + [("bob", "1")] * 3),
    (["--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=4"], [THREADS, START], [("ada", "4")] + [("bob", "4")] * 2),
    (["--nodes=1", "--ntasks=1", "--cpus-per-task=4"], ["exec mpisheaf -n $((SLURM_CPUS_PER_TASK + 1)) sheaf -c script.py"], [("ada", "1")] * 4),
], ids=["processes", "threads", "nodes", "nodes-threads", "one-task"])
def test_templates(directives, body, servers, batch, tmp_path):
    """The servers are where they belong, with their threads; the task succeeds; the script's status is the job's."""
    done, out = batch(directives, body)
    assert done.returncode == 3, done.stderr + out
    client, *there = told(out)
    assert client == "ada" and [(host, threads) for host, threads, *_ in there] == servers
    assert all(told_threads == int(threads) for _, threads, told_threads, _ in there)
    cores = len(os.sched_getaffinity(0))
    assert all(allowed == cores for *_, allowed in there), "processes are bound to cores that threads would share"
    assert os.path.isdir(tmp_path / "o.mms") and not re.search("WARN|SEVERE", (tmp_path / "log.txt").read_text())


def test_salloc(slurm, tmp_path):
    (tmp_path / "script.py").write_text(TELL)
    env = f"PATH={runs.BUILD}/bin:{os.environ['PATH']}"
    done = slurm.run("salloc", "-N", "2", "--ntasks-per-node=2", "env", env, "SHEAF_LOGFILE=none", "VIS=" + inputs.ngc5921(), "mpisheaf", "-n", "4",
                     "sheaf", "-c", "script.py", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert [server[0] for server in told(done.stdout)[1:]] == ["ada", "bob", "bob"]


def shared_memory():
    """What is in /dev/shm, but for files of tests and programs of this host itself, which may run beside."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("sheaf-run-") and f".{socket.gethostname()}." not in name}


def test_scancel_leaves_nothing(slurm, batch, tmp_path):
    shared = shared_memory()
    (tmp_path / "script.py").write_text(TELL.replace("sheaf.partition", "open('ready', 'w').close()\nimport time\ntime.sleep(1000)\n#"))
    done, _ = batch(["--nodes=2", "--ntasks-per-node=2"], [START], wait=())
    number = done.stdout.split()[-1]
    runs.wait_for(tmp_path / "ready")

    def there(host):
        """Programs of the job on a node; the first process of a host buries none."""
        lines = subprocess.run(host.words("ps", "-eo", "stat=,comm="), capture_output=True, text=True).stdout.splitlines()
        return [line for line in lines if re.search("sheaf|orted", line) and not line.startswith("Z")]
    assert all(there(host) for host in slurm.hosts.all)
    slurm.run("scancel", number)
    runs.wait_until(lambda: not any(there(host) for host in slurm.hosts.all), "all processes are gone")
    assert shared_memory() <= shared


def test_a_server_on_the_other_node_dies(slurm, batch, tmp_path):
    (tmp_path / "script.py").write_text("""import sheaf
client = sheaf.MPICommandClient()
client.start_services()
r = client.push_command_request("os.kill(os.getpid(), 9)", True, 3)[0]
print(r["status"], r["traceback"].split(" on host ")[1][:3], client.push_command_request("1+1", True)[0]["ret"])
""")
    done, out = batch(["--nodes=2", "--ntasks-per-node=2"], [START])
    assert done.returncode == 0, done.stderr + out
    assert "server lost bob 2" in out
