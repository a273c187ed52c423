# SPDX-License-Identifier: GPL-3.0-or-later
"""partition when processes are killed and disks are full: the output is whole or not there, the input as it was, the
next run succeeds. tests/fault/loop does the same at every instant."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402

import faults  # noqa: E402
import inputs  # noqa: E402
from runs import LIMIT_S, Run, kill  # noqa: E402

HOST = socket.gethostname()
SMALL = ["scan=2,3", "numsubms=2"]


@pytest.fixture(autouse=True, scope="module")
def input_is_untouched():
    before = {vis: (faults.checksums(vis), faults.stamps(vis)) for vis in (inputs.ngc5921(), inputs.simulated())}
    yield
    for vis, state in before.items():
        assert (faults.checksums(vis), faults.stamps(vis)) == state


def place(folder, *words, vis=None, ranks=0):
    p = faults.Place(folder, ["partition", "vis=" + (vis or inputs.ngc5921()), "outputvis=out/o.mms", *words], "o.mms", ranks)
    p.clear()
    return p


def kinds(changes):
    """One k for each kind of change: the call, and the path without numbers."""
    found = {}
    for k, call, path in changes:
        found.setdefault((call, re.sub(r"\.sheaf-[^/]*|\d+", "#", path)), k)
    return sorted(found.values())


# ---- a full disk ----

def test_disk_full_from_the_kth_change_on(tmp_path):
    p = place(tmp_path, *SMALL)
    every = kinds(p.changes())
    assert len(every) > 100
    for k in every[::9]:
        p.clear()
        done = p.run(do="ENOSPC", at=k, sticky=1)
        assert faults.judge(p, done, "ENOSPC") == [], (k, done.stderr)
        assert done.returncode == 1


def test_one_change_fails(tmp_path):
    """An error that does not come back (a bad block): what could not be written is never published."""
    p = place(tmp_path, *SMALL)
    changes = p.changes()
    # casacore itself writes once more, and succeeds, after the second: what is told is the first error.
    locks = [k for k, call, path in changes if call == "pwrite64" and path.endswith("HISTORY/table.lock")]
    assert locks
    for k in kinds(changes)[3::15] + locks[-2:]:
        p.clear()
        done = p.run(do="EIO", at=k)
        assert faults.judge(p, done, "EIO") == [], (k, done.stderr)


@pytest.mark.parametrize("words, output, outputs", (
    (["importuvfits", "fitsfile=FITS", "vis=out/o.ms"], "o.ms", 12),
    (["virtualconcat", "vis=[IN,IN2]", "concatvis=out/o.mms", "keepcopy=True"], "o.mms", 12),
    (["listobs", "vis=IN", "listfile=out/o.txt"], "o.txt", 8),
    (["partition", "vis=IN", "outputvis=out/o.ms", "createmms=False", "scan=2"], "o.ms", 12)))
def test_disk_full_in_other_tasks(words, output, outputs, tmp_path):
    second = tmp_path / "second.ms"
    if "[IN,IN2]" in words[1]:
        shutil.copytree(inputs.simulated(), second)
        words = [w.replace("IN,IN2", f"{inputs.simulated()},{second}") for w in words]
    p = faults.Place(tmp_path, [w.replace("FITS", inputs.fits()).replace("=IN", "=" + inputs.ngc5921()) for w in words], output)
    every = kinds(p.changes())
    for k in every[::max(1, len(every) // outputs)]:
        p.clear()
        done = p.run(do="ENOSPC", at=k, sticky=1)
        left = os.listdir(p.out)
        assert done.returncode == 1 and left == [], (k, left, done.stderr)
        assert faults.TEXTS["ENOSPC"] in faults.severe(done.stderr), (k, done.stderr)
        raw = [line for line in done.stderr.splitlines() if line and not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\t", line)]
        assert raw == [], k  # all that casacore says is in the log


@pytest.mark.parametrize("calls, at", (("pwrite", 2), ("posix_fallocate", 2), ("write", 2), ("mkdir", 1)))
def test_server_names_what_it_could_not_write(calls, at, tmp_path):
    p = place(tmp_path, "numsubms=3", ranks=3)
    done = p.run(do="ENOSPC", at=at, sticky=1, ops=calls, rank=1)
    assert faults.judge(p, done, "ENOSPC") == []
    assert re.search(rf"o\.mms\.000\d\.ms \(MPIServer-1 on {HOST}\): .*No space left on device", faults.severe(done.stderr))


def test_small_disk(tmp_path):
    """A real file system that fills up, where one may be mounted."""
    p = place(tmp_path, "numsubms=3")
    for mega in (1, 9, 20, 33):
        p.clear()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mega}m", "tmpfs", p.out], capture_output=True).returncode:
            pytest.skip("nothing may be mounted here")
        try:
            for ranks in (0, 3):
                p.ranks = ranks
                done = subprocess.run(p.words(), cwd=tmp_path, text=True, capture_output=True, timeout=LIMIT_S)
                assert faults.judge(p, done, "ENOSPC") == [], (mega, done.stderr)
                assert done.returncode == 1
        finally:
            subprocess.run(["umount", p.out], check=True)


def test_file_size_limit(tmp_path):
    import resource
    p = place(tmp_path, "numsubms=2")
    for size in (1 << 12, 1 << 16, 3 << 20):
        p.clear()
        done = subprocess.run(p.words(), cwd=tmp_path, text=True, capture_output=True, timeout=LIMIT_S,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        assert done.returncode == 1 and os.listdir(p.out) == [], done.stderr
        assert "File too large" in faults.severe(done.stderr)


# ---- kill -9 ----

def test_killed_at_any_instant(tmp_path):
    """Serial, 50 instants."""
    p = place(tmp_path, *SMALL)
    total = p.changes()[-1][0]
    chosen = random.Random(5921).sample(range(1, total), 44) + list(range(total - 5, total + 1))
    for k in chosen:
        p.clear()
        done = p.run(do="KILL", at=k)
        # 0, 1: it was a child that was killed, at work that is done again or not
        assert done.returncode in (-signal.SIGKILL, 0, 1), done.stderr
        if k % 9 == 0 or k > total - 4:
            assert faults.judge_death(p) == [], k
        else:
            assert faults.judge_death(p, again=False) == [], k


def test_killed_by_the_clock(tmp_path):
    p = place(tmp_path, vis=inputs.simulated())
    for ms in (20, 60, 90, 120, 160, 200):
        p.clear()
        job = subprocess.Popen(p.words(), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(ms / 1000)
        job.kill()
        job.wait()
        assert faults.judge_death(p) == [], ms


class Stopped:
    """A run under MPI of which one rank is stopped: a server while it copies data, or the client at its work."""

    def __init__(self, folder, ranks=3, rank=1, at=6, calls="pwrite"):
        self.place = place(folder, "numsubms=4", ranks=ranks)
        under = "_TSM" if calls == "pwrite" else None
        env = self.place.environment(do="STOP", at=at, ops=calls, rank=rank, under=under)
        self.job = Run(*self.place.words(), cwd=str(folder), env=env)
        self.job.wait_stopped()

    def rank(self, number):
        return self.job.rank(number, "sheaf")

    def go_on(self):
        for pid in self.job.stopped():
            kill(pid, signal.SIGCONT)

    def finish(self):
        return self.job.finish()


def test_server_killed_in_a_unit(tmp_path):
    run = Stopped(tmp_path)
    victim = run.rank(1)
    assert run.job.stopped() == [victim]
    kill(victim)
    status, out, err = run.finish()
    assert status == 0, err
    assert re.search(rf"WARN\t.*MPIServer-1 on {HOST} \(pid {victim}\) ended while it worked on o\.mms\.000\d\.ms", err)
    assert sorted(os.listdir(run.place.out)) == ["o.mms", "o.mms.flagversions"]
    assert faults.verify(run.place.output) == ""
    # what the dead server had begun leaves no trace
    (tmp_path / "serial").mkdir()
    again = place(tmp_path / "serial", "numsubms=4")
    assert faults.sheaf(*again.command, cwd=again.folder).returncode == 0
    assert data_of(run.place.output) == data_of(again.output)


def test_both_servers_killed(tmp_path):
    run = Stopped(tmp_path)
    for rank in (2, 1):  # the first server, which is stopped, keeps its sub-MS until then
        kill(run.rank(rank))
    status, out, err = run.finish()
    assert status == 0 and "no server is left" in err, err
    assert faults.verify(run.place.output) == ""


def data_of(output):
    """Checksums of the files of all sub-MSs, without HISTORY, which holds times, and locks, which name processes."""
    found = faults.checksums(output + "/SUBMSS")
    return {name: value for name, value in found.items() if "HISTORY" not in name and "table.lock" not in name}


@pytest.mark.parametrize("ranks", (0, 3))
def test_child_killed(ranks, tmp_path):
    """The process that casacore writes in: by somebody, or by the system for want of memory. The sub-MS is made again."""
    p = place(tmp_path, "numsubms=4", ranks=ranks)
    done = p.run(do="KILL", at=3, ops="write", rank=2 if ranks else None, under="/SUBMSS/")
    assert done.returncode == 0, done.stderr
    where = rf" \(MPIServer-2 on {HOST}\)" if ranks else ""
    assert len(re.findall(rf"WARN\t.*o\.mms\.000\d\.ms{where}: .*signal 9 .*tried once more", done.stderr)) == 1, done.stderr
    assert faults.judge(p, done, "ENOSPC") == []
    (tmp_path / "serial").mkdir()
    again = place(tmp_path / "serial", "numsubms=4")
    assert faults.sheaf(*again.command, cwd=again.folder).returncode == 0
    assert data_of(p.output) == data_of(again.output)


def pids_of(run, victim):
    if isinstance(victim, int):
        return [run.rank(victim)]
    if victim == "mpisheaf":
        return [run.job.process.pid]
    return run.job.named("orterun", "mpirun")


@pytest.mark.parametrize("victim", (0, "mpisheaf", "mpirun"))
@pytest.mark.parametrize("rank, calls, at", ((1, "pwrite", 6), (0, "symlink", 5)))
def test_killed_under_mpi(victim, rank, calls, at, tmp_path):
    """The client or what holds it dies while a server copies, and while the client makes the sub-tables."""
    run = Stopped(tmp_path, rank=rank, calls=calls, at=at)
    pids = pids_of(run, victim)
    assert len(pids) == 1
    kill(pids[0])
    run.go_on()
    status, out, err = run.finish()
    assert status != 0
    assert [n for n in os.listdir(run.place.out) if not n.startswith(".")] == []
    run.place.ranks = 0
    assert faults.judge_death(run.place) == []


@pytest.mark.parametrize("victim", (0, 1, "mpisheaf", "mpirun"))
@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGTERM))
def test_interrupted_under_mpi(victim, sig, tmp_path):
    run = Stopped(tmp_path)
    kill(pids_of(run, victim)[0], sig)
    run.go_on()
    status, out, err = run.finish()
    left = sorted(os.listdir(run.place.out))
    if victim in (0, "mpisheaf"):
        assert status == 1 and left == [], (status, left, err)
        assert "interrupted by signal" in err
    elif victim == 1:  # a server that ends is a lost server
        assert status in (0, 1) and (faults.verify(run.place.output) if status == 0 else left) in ("", []), err
    else:  # mpirun kills all others, in time for the client to end in order or not
        run.place.ranks = 0
        assert status != 0 and faults.judge_death(run.place) == [], err


@pytest.mark.parametrize("calls, at", (("pwrite", 6), ("symlink", 5), ("fsync", 20)))
@pytest.mark.parametrize("sig", ("INT", "TERM"))
def test_interrupted_serially(sig, calls, at, tmp_path):
    p = place(tmp_path, *SMALL)
    done = p.run(do=sig, at=at, ops=calls)
    assert done.returncode == 1 and os.listdir(p.out) == [], done.stderr
    assert "interrupted" in faults.severe(done.stderr)


# ---- a disk with other faults ----

@pytest.mark.parametrize("error", ("ENOLCK", "ENOSYS"))
@pytest.mark.parametrize("ranks", (0, 3))
def test_file_system_without_locks(error, ranks, tmp_path):
    p = place(tmp_path, ranks=ranks)
    done = p.run(locks=error)
    assert done.returncode == 0, done.stderr
    assert faults.verify(p.output) == ""
    done = faults.sheaf("listobs", "vis=out/o.mms", cwd=tmp_path, env=p.environment(locks=error))
    assert done.returncode == 0, done.stderr


def test_unwritable_folder(ordinary):
    vis = ordinary.give(shutil.copytree(inputs.simulated(), ordinary.folder + "/in.ms"))
    os.mkdir(ordinary.folder + "/out", 0o555)
    done = faults.sheaf("partition", "vis=" + vis, "outputvis=out/o.mms", cwd=ordinary.folder, program=ordinary.sheaf,
                        **ordinary.options)
    assert done.returncode == 1 and "Permission denied" in faults.severe(done.stderr), done.stderr
    assert os.listdir(ordinary.folder + "/out") == []


@pytest.mark.parametrize("ranks", (0, 3))
def test_unreadable_file_of_the_input(ranks, ordinary):
    vis = ordinary.give(shutil.copytree(inputs.simulated(), ordinary.folder + "/in.ms"))
    os.mkdir(ordinary.folder + "/out")
    ordinary.give(ordinary.folder + "/out")
    data = max((os.path.join(vis, n) for n in os.listdir(vis) if "_TSM" in n), key=os.path.getsize)
    os.chmod(data, 0)
    words = ([ordinary.mpisheaf, "-n", str(ranks)] if ranks else []) + [ordinary.sheaf, "--nologfile"]
    done = subprocess.run([*words, "partition", "vis=in.ms", "outputvis=out/o.mms"], cwd=ordinary.folder, text=True,
                          timeout=LIMIT_S, capture_output=True, **ordinary.options)
    told = faults.severe(done.stderr)
    assert done.returncode == 1 and os.path.basename(data) in told and "Permission denied" in told, done.stderr
    if ranks:
        assert re.search(rf"o\.mms\.000\d\.ms \(MPIServer-\d on {HOST}\): ", told)
    assert os.listdir(ordinary.folder + "/out") == []


def test_rows_added_between_plan_and_copy(tmp_path):
    vis = str(tmp_path / "in.ms")
    shutil.copytree(inputs.simulated(), vis)
    p = place(tmp_path, vis=vis, ranks=3)
    job = Run(*p.words(), cwd=str(tmp_path), env=p.environment(do="STOP", at=4, ops="mkdir", rank=0))
    pid = job.wait_stopped()
    with table(vis, readonly=False, ack=False) as t:
        n = t.nrows()
        t.addrows(5)
    kill(pid, signal.SIGCONT)
    status, out, err = job.finish()
    assert status == 1 and os.listdir(p.out) == [], err
    assert re.search(rf"o\.mms\.000\d\.ms \(MPIServer-\d on {HOST}\): .*has {n + 5} rows; it had {n} when", faults.severe(err)), err


@pytest.mark.parametrize("ranks", (0, 3))
@pytest.mark.parametrize("name", ("DATA", "WEIGHT"))
def test_truncated_tiles(name, ranks, tmp_path):
    vis = str(tmp_path / "in.ms")
    shutil.copytree(inputs.simulated(), vis)
    with table(vis, ack=False) as t:
        info = t.getdminfo(name)
    tiles = os.path.join(vis, "table.f%d_TSM1" % info["SEQNR"])
    os.truncate(tiles, os.path.getsize(tiles) // 3)
    p = place(tmp_path, "numsubms=3", vis=vis, ranks=ranks)
    done = subprocess.run(p.words(), cwd=tmp_path, text=True, capture_output=True, timeout=LIMIT_S)
    told = faults.severe(done.stderr)
    assert done.returncode == 1 and os.listdir(p.out) == [], done.stderr
    assert os.path.basename(tiles) in told and "shorter" in told or "trunc" in told, told
    assert re.search(r"o\.mms\.000\d\.ms" + (rf" \(MPIServer-\d on {HOST}\)" if ranks else ""), told)
