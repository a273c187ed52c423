# SPDX-License-Identifier: GPL-3.0-or-later
"""partition and listpartition at 1, 2, 3 and 5 ranks and without MPI: one result, to the byte; and how a user meets them."""
import json
import os
import re
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python"))
import inputs  # noqa: E402
from outputs import differing, files  # noqa: E402
from runs import LIMIT_S, MPISHEAF, SHEAF, Run  # noqa: E402

pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402
from ms_digest import describe  # noqa: E402

RANKS = (1, 2, 3, 5)  # and 0: without MPI
INPUTS = {"ngc5921": inputs.ngc5921, "simulated": inputs.simulated}
CASES = [("ngc5921", a) for a in ("auto", "scan", "spw", "baseline")] + [("simulated", "auto"), ("simulated", "spw")]


def run(ranks, *words, cwd=None, log="none"):
    """`sheaf WORDS` with so many ranks. No process may be left when it has ended."""
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    command = [*launch, SHEAF, *words]
    status, out, err = Run(*command, cwd=cwd, env=dict(os.environ, SHEAF_LOGFILE=str(log))).finish()
    return subprocess.CompletedProcess(command, status, out, err)


def good(*args, **options):
    done = run(*args, **options)
    assert done.returncode == 0, done.stderr
    assert "SEVERE" not in done.stderr
    return done


def history(path):
    with table(path + "/HISTORY", ack=False) as t:
        return {n: t.getcol(n) for n in ("MESSAGE", "ORIGIN", "PRIORITY", "APPLICATION")}


def subtables(path):
    """The values of all sub-tables but HISTORY."""
    parts = os.path.join(path, "SUBMSS")
    found = describe(os.path.join(parts, min(os.listdir(parts))) if os.path.isdir(parts) else path)
    return {name: found[name] for name in found if name != "HISTORY"}


@pytest.mark.parametrize("source, axis", CASES)
def test_result_does_not_depend_on_the_number_of_processes(source, axis, tmp_path):
    vis = INPUTS[source]()
    first = None
    for ranks in (0, *RANKS):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        good(ranks, "partition", "vis=" + vis, "outputvis=o.mms", "separationaxis=" + axis, "numsubms=3", cwd=folder)
        assert sorted(os.listdir(folder)) == ["o.mms", "o.mms.flagversions"]
        now = files(folder / "o.mms"), history(str(folder / "o.mms")), subtables(str(folder / "o.mms"))
        first = first or now
        assert differing(first[0], now[0]) == [], f"{ranks} ranks"
        assert first[1:] == now[1:]
    for ranks in (0, 3):  # of the last output; the others are equal to the byte, ledger included
        done = good(ranks, "listpartition", "vis=o.mms", "verify=True", cwd=folder)
        assert "Verified: " in done.stderr
    count = sum(1 for name in first[0] if name.endswith("ms/table.dat") and name.startswith("SUBMSS"))
    assert count == (1 if axis == "spw" and source == "ngc5921" else 3)
    with table(vis, ack=False) as whole, table(str(folder / "o.mms"), ack=False) as parts:
        assert parts.nrows() == whole.nrows()


@pytest.mark.parametrize("words", (("createmms=False", "scan=2,4~6"), ("numsubms=2", "antenna=1~5", "spw=0:3~40"),
                                   ("numsubms=4", "correlation=RR", "flagbackup=False")))
def test_selections(words, tmp_path):
    found = []
    for ranks in (0, 3):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        good(ranks, "partition", "vis=" + inputs.ngc5921(), "outputvis=o.ms", *words, cwd=folder)
        found.append((files(folder / "o.ms"), subtables(str(folder / "o.ms"))))
    assert differing(found[0][0], found[1][0]) == []
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("ranks, expected", ((0, 8), (1, 8), (2, 1), (3, 2), (5, 4)))
def test_numsubms_auto_is_the_number_of_servers(ranks, expected, tmp_path):
    done = good(ranks, "--json", "partition", "vis=" + inputs.simulated(), "outputvis=o.mms", cwd=tmp_path)
    assert done.stdout == "null\n"
    assert len(os.listdir(tmp_path / "o.mms" / "SUBMSS")) == expected


def test_input_of_many_parts(tmp_path):
    """A Multi-MS as input: its members become the units."""
    good(0, "partition", "vis=" + inputs.simulated(), "outputvis=in.mms", "numsubms=5", cwd=tmp_path)
    found = []
    for ranks in (0, 2, 5):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        good(ranks, "partition", f"vis={tmp_path}/in.mms", "outputvis=o.mms", "scan=1~5", cwd=folder)
        good(ranks, "listpartition", "vis=o.mms", "verify=True", cwd=folder)
        found.append(files(folder / "o.mms"))
    assert differing(found[0], found[1]) == [] and differing(found[0], found[2]) == []


def test_verify_finds_damage_under_mpi(tmp_path):
    good(3, "partition", "vis=" + inputs.simulated(), "outputvis=o.mms", cwd=tmp_path)
    member = tmp_path / "o.mms" / "SUBMSS" / "o.mms.0001.ms"
    largest = max((p for p in member.iterdir() if "_TSM" in p.name), key=lambda p: p.stat().st_size)
    with open(largest, "r+b") as f:
        f.seek(5000)
        byte = f.read(1)
        f.seek(5000)
        f.write(bytes([byte[0] ^ 1]))
    for ranks in (0, 3):
        done = run(ranks, "listpartition", "vis=o.mms", "verify=True", cwd=tmp_path)
        assert done.returncode == 1
        assert "o.mms.0001.ms" in done.stderr and "checksum" in done.stderr


def test_script_calls_tasks_one_after_another(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"""
import os, sys
importuvfits(fitsfile={inputs.fits()!r}, vis='n.ms')
partition(vis='n.ms', outputvis='a.mms', separationaxis='scan', numsubms=3)
partition(vis='a.mms', outputvis='b.mms', scan='1~3')
try:
    partition(vis='n.ms', outputvis='a.mms')
except sheaf.Error as e:
    print('refused', 'already exists' in str(e))
try:
    partition(vis='n.ms', outputvis='c.mms', scan='99')
except sheaf.Error as e:
    print('nothing', type(e).__name__)
partition(vis='n.ms', outputvis='c.mms', scan='6~7')
virtualconcat(vis=['b.mms', 'c.mms'], concatvis='d.mms', keepcopy=True)
for name in 'abc':
    listpartition(vis=name + '.mms', verify=True)
whole = listpartition(vis='d.mms', createdict=True)
print(nservers(), sum(s['nrows'] if 'nrows' in s else 0 for s in whole.values()) >= 0, len(whole))
print(sorted(n for n in os.listdir('.') if n.startswith('.')))
sys.exit(7)
""")
    done = run(3, "-c", str(script), cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "refused True" and lines[1].startswith("nothing "), done.stdout + done.stderr
    assert lines[-1] == "[]"
    assert lines[2].startswith("2 True ")


@pytest.mark.parametrize("words, status, text", (
    (("partition", "vis=IN", "outputvis=o.mms", "scan=99"), 1, "zero rows|No match|99"),
    (("partition", "vis=no.ms", "outputvis=o.mms"), 2, "no.ms"),
    (("partition", "vis=IN", "outputvis="), 2, "outputvis"),
    (("partition", "vis=IN", "outputvis=o.mms", "numsubms=0"), 2, "numsubms=0"),
    (("partition", "vis=IN", "outputvis=o.mms", "separationaxis=time"), 2, "separationaxis"),
    (("partition", "vis=IN", "outputvs=o.mms"), 2, "outputvis"),
    (("partition", "vis=IN", "outputvis=no/such/o.mms"), 1, "no/such"),
))
@pytest.mark.parametrize("ranks", (0, 3))
def test_exit_status_and_one_message(ranks, words, status, text, tmp_path):
    words = [w.replace("IN", inputs.simulated()) for w in words]
    done = run(ranks, *words, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert re.search(text, done.stderr)
    told = [line for line in done.stderr.splitlines() if "\tSEVERE\t" in line or line.startswith("sheaf: ")]
    assert len(told) == 1, done.stderr
    assert os.listdir(tmp_path) == []


def test_log_names_client_and_servers(tmp_path):
    host = re.escape(socket.gethostname())
    done = subprocess.run([MPISHEAF, "-n", "3", SHEAF, "partition", "vis=" + inputs.ngc5921(),
                           "outputvis=o.mms"], cwd=tmp_path, env=dict(os.environ, SHEAF_LOGFILE="my.log", SHEAF_LOG="DEBUG"),
                          text=True, capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "my.log").read_text().splitlines()
    form = re.compile(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\t(INFO|WARN|DEBUG1|SEVERE)\tpartition::::@{host}:(MPIClient|MPIServer-[12])"
                      r"\+?\t.*")
    origins = set()
    for line in lines:
        match = form.fullmatch(line)
        assert match, line
        origins.add(match.group(2))
    assert origins == {"MPIClient", "MPIServer-1", "MPIServer-2"}
    assert done.stdout == ""


def test_json_is_all_that_is_on_standard_output(tmp_path):
    good(3, "partition", "vis=" + inputs.simulated(), "outputvis=o.mms", cwd=tmp_path)
    plain = good(0, "--json", "listpartition", "vis=o.mms", "createdict=True", "verify=True", cwd=tmp_path)
    under = good(3, "--json", "listpartition", "vis=o.mms", "createdict=True", "verify=True", cwd=tmp_path)
    assert json.loads(plain.stdout) == json.loads(under.stdout)
    assert len(json.loads(under.stdout)) >= 2
