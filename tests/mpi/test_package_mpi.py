# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python package and the program with one client and two servers: who runs what, errors, exit status."""

import os
import subprocess
import sys

from commands import HEAD, run
from runs import BUILD, LIMIT_S, MPISHEAF, SHEAF, preload


def launch(cwd, *command):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_"))}
    env.update(SHEAF_LOGFILE="none", LD_PRELOAD=preload(os.path.join(BUILD, "tests", "libfake_tasks.so")))
    return subprocess.run([MPISHEAF, "-n", "3", *command], cwd=cwd, env=env,
                          text=True, timeout=LIMIT_S, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_task_from_the_shell(tmp_path):
    done = launch(tmp_path, SHEAF, "slow", "seconds=0.1", "--json")
    assert done.returncode == 0 and done.stdout == "10\n", done.stderr
    assert done.stderr.count("Begin Task") == 1 and "MPIClient\t" in done.stderr


def test_wrong_usage_is_told_once(tmp_path):
    done = launch(tmp_path, SHEAF, "slow", "secnds=1")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("did you mean 'seconds'") == 1
    assert os.listdir(tmp_path) == []


def test_version_is_told_once(tmp_path):
    done = launch(tmp_path, SHEAF, "--version")
    assert done.returncode == 0 and done.stdout.count("sheaf ") == 1


def test_script_runs_on_the_client_only(tmp_path):
    (tmp_path / "s.py").write_text("import sys\nprint(sys.argv, nservers(), slow(0.02))\nsys.exit(3)\n")
    done = launch(tmp_path, SHEAF, "-c", "s.py", "a")
    assert done.stdout == "['s.py', 'a'] 2 10\n" and done.returncode == 3, done.stderr


def test_import_makes_servers(tmp_path):
    done = launch(tmp_path, sys.executable, "-c", "import sheaf\nprint(sheaf.nservers())\nraise SystemExit(4)")
    assert done.stdout == "2\n" and done.returncode == 4, done.stderr
    done = launch(tmp_path, sys.executable, "-m", "sheaf", "-c", "print(nservers())")
    assert done.stdout == "2\n" and done.returncode == 0, done.stderr


def test_uncaught_exception_ends_all_with_status_1(tmp_path):
    done = launch(tmp_path, sys.executable, "-c", "import sheaf\n1/0")
    assert done.returncode == 1 and done.stderr.count("ZeroDivisionError") == 1


def test_error_names_unit_server_and_host(tmp_path):
    done = launch(tmp_path, SHEAF, "-c", "try:\n  slow(0.02, bad=2)\nexcept sheaf.DataError as e:\n"
                  "  print(e.rank in (1, 2), e.host == __import__('socket').gethostname(), e)\n")
    assert done.stdout.startswith("True True slow: second (MPIServer-"), done.stderr
    assert done.stdout.endswith(": bad luck\n")
    assert os.listdir(tmp_path) == []


UNFINISHED = """
import sheaf
from casatools import ms, table
from casatasks import partition
from sheaf import MPICommandClient

def where():
    return sheaf.nservers() is not None and partition.__name__ + table.__name__ + ms.__name__
"""


def test_commands_import_what_the_server_began_in(tmp_path):
    """A server stays in the first import that starts Sheaf; what was being imported then works in commands, and in threads of theirs."""
    (tmp_path / "mine.py").write_text(UNFINISHED)
    for first in ("from casatasks import partition", "from casatools import table", "import casampi", "from mine import where"):
        s = run("""
            client.push_command_request("from casatasks import partition, casalog; from casatools import table, ms; import mine", True, [1, 2])
            client.push_command_request("from concurrent.futures import ThreadPoolExecutor", True, 1)
            client.push_command_request("def both(): import sheaf, casatasks, mine; return sheaf.table is not None and mine.where()", True, 1)
            show(names=value("[f.__name__ for f in (partition, table, ms)]", 2), mine=value("mine.where()", 2),
                 thread=value("ThreadPoolExecutor().submit(both).result()", 1))
            client.stop_services()
            """, head=f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{first}\n" + HEAD)
        assert s["names"] == ["partition", "table", "ms"] and s["mine"] == s["thread"] == "partitiontablems", first
