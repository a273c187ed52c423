# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher: options, usage, environment, streams, exit status. Deaths are in tests/mpi/test_par.py."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from runs import BUILD, LIMIT_S, MPISHEAF, Terminal

BIN = os.path.join(BUILD, "bin")


def run(*words, env=(), remove=(), stdin="", program=MPISHEAF, **options):
    environment = {k: v for k, v in dict(os.environ, **dict(env)).items() if k not in remove}
    return subprocess.run([program, *words], input=stdin, env=environment, text=True,
                          capture_output=True, timeout=LIMIT_S, **options)


@pytest.fixture
def script(tmp_path):
    """Writes a shell script and returns its path. In it, `meet N` returns when N ranks have called it."""
    (tmp_path / "met").mkdir()
    meet = f'meet() {{ : >"{tmp_path}/met/$OMPI_COMM_WORLD_RANK"; while [ "$(ls "{tmp_path}/met" | wc -l)" -lt $1 ]; do ' \
        "sleep 0.05; done; }\n"

    def write(text, name="program"):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + meet + text + "\n")
        path.chmod(0o755)
        return str(path)
    return write


def links(folder, *programs):
    """A folder for PATH with links to these programs only."""
    folder.mkdir()
    for program in programs:
        (folder / program).symlink_to(shutil.which(program))
    return str(folder)


def test_help_says_it_all():
    for option in ("--help", "-h"):
        done = run(option)
        assert done.returncode == 0 and done.stderr == ""
        for word in ("-hostfile", "OMP_NUM_THREADS", "PATH", "root", "more processes than cores",
                     "xterm", "exit status", "SCRIPT.py", "slots=N", "--mca"):
            assert word in done.stdout, word


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"mpisheaf \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("words, text", [
    ((), "how many processes"),
    (("-n",), "-n needs a value"),
    (("-n", "0"), "not '0'"),
    (("-n", "-3"), "not '-3'"),
    (("-n", "two"), "not 'two'"),
    (("-np", "2x"), "not '2x'"),
    (("-n", "2", "--nonsense"), "'--nonsense'"),
    (("-hostfile", "/no/such/file"), "'/no/such/file'"),
    (("-n", "2", "--mca", "btl"), "--mca needs a value"),
])
def test_wrong_usage(words, text):
    done = run(*words)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_without_mpirun(tmp_path):
    done = run("-n", "2", "/bin/true", env={"PATH": links(tmp_path / "bin", "sh")})
    assert done.returncode == 2
    assert "openmpi-bin" in done.stderr and done.stderr.count("\n") == 1


def test_program_missing():
    done = run("-n", "2", "/no/such/program")
    assert done.returncode == 127
    assert "/no/such/program" in done.stderr


@pytest.mark.parametrize("n", (1, 3))
@pytest.mark.parametrize("status", (0, 1, 2, 77))
def test_exit_status(script, n, status):
    program = script(f'[ "$OMPI_COMM_WORLD_RANK" = 0 ] && exit {status}; exit 0')
    done = run("-n", str(n), program)
    assert done.returncode == status
    assert done.stderr == "" and done.stdout == ""


def test_status_of_a_server_does_not_matter(script):
    done = run("-n", "3", script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] || { : >"$0.$OMPI_COMM_WORLD_RANK"; exit 5; }\n'
                                   'until [ -e "$0.1" ] && [ -e "$0.2" ]; do sleep 0.05; done; sleep 0.3'))
    assert done.returncode == 0
    assert done.stderr == ""


def test_killed_client(script):
    done = run("-n", "2", script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] && kill -9 $$; sleep 0.2'))
    assert done.returncode == 128 + signal.SIGKILL


def test_only_the_client_has_standard_output(script):
    done = run("-n", "3", script('echo "out $OMPI_COMM_WORLD_RANK"; echo err >&2; meet 3'))
    assert done.returncode == 0
    assert done.stdout == "out 0\n"
    assert sorted(done.stderr.split("\n")) == ["", "err", "err", "err", "out 1", "out 2"]


def test_standard_input_is_the_clients(script):
    done = run("-n", "3", script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] && cat; exit 0'),
               stdin="one\ntwo\n" * 50000)
    assert done.stdout == "one\ntwo\n" * 50000


def test_environment(script, tmp_path):
    program = script('[ "$OMPI_COMM_WORLD_RANK" = 1 ] && '
                     'echo "$OMP_NUM_THREADS:$PATH:$SHEAF_MEMORY" >&2; meet 2')
    done = run("-n", "2", program, env={"SHEAF_MEMORY": "800M"}, remove=["OMP_NUM_THREADS"])
    assert done.stderr.startswith(f"1:{BIN}:") and done.stderr.endswith(":800M\n")
    for met in (tmp_path / "met").iterdir():
        met.unlink()
    done = run("-n", "2", program, env={"OMP_NUM_THREADS": "3"})
    assert done.stderr.startswith("3:")


def test_other_options_of_mpirun(script, tmp_path):
    program = script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] && echo "$WORD $OMPI_MCA_mpi_x $PWD"; exit 0')
    done = run("-n", "2", "-x", "WORD=hello", "--mca", "mpi_x", "1", "-wdir", str(tmp_path),
               "--map-by", "slot", "--bind-to", "none", "-oversubscribe", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"hello 1 {tmp_path}\n"


def test_hostfile(script, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("localhost slots=3\n")
    done = run("-hostfile", str(hosts), script('echo "$OMPI_COMM_WORLD_SIZE"'))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3\n"


def test_unknown_host(tmp_path):
    """It is named before anything starts."""
    hosts = tmp_path / "hosts"
    hosts.write_text("localhost slots=1\nno-such-host.invalid slots=2\n")
    done = run("-hostfile", str(hosts), "/bin/true")
    assert done.returncode == 1 and done.stdout == ""
    assert f"{hosts}, line 2: the host 'no-such-host.invalid' is not known here" in done.stderr


def test_slurm_may_export(script):
    """Where a job was made with --export=NONE, srun would start mpirun's daemons without PATH."""
    program = script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] && echo "$SLURM_EXPORT_ENV"; exit 0')
    assert run("-n", "1", program, env={"SLURM_EXPORT_ENV": "NONE"}).stdout == "ALL\n"
    assert run("-n", "1", program, remove=["SLURM_EXPORT_ENV"]).stdout == "\n"


@pytest.mark.parametrize("words", [("--version",), ("sheaf", "--version"),
                                   (os.path.join(BIN, "sheaf"), "--version")])
def test_sheaf_is_put_in_front(words):
    done = run("-n", "2", *words)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"sheaf \d+\.\d+\.\d+\n", done.stdout)


def test_wrong_task_is_wrong_usage():
    done = run("-n", "2", "partitoin", "vis=x.ms")
    assert done.returncode == 2
    assert "partition" in done.stderr


@pytest.mark.parametrize("words", [(), ("sheaf",), ("python3",)])
def test_script_and_arguments(tmp_path, words):
    path = tmp_path / "script.py"
    path.write_text("import os, sys\nimport sheaf\n"
                    "print(sys.argv[1:], os.environ['OMPI_COMM_WORLD_RANK'], sheaf.par_nserver()"
                    " if hasattr(sheaf, 'par_nserver') else sheaf._core.par_nserver())\n"
                    "sys.exit(3)\n")
    option = [] if words == ("python3",) else ["-c"]
    done = run("-n", "3", *words, *option, str(path), "a", "-n", "b c",
               env={"PATH": "/usr/bin:" + os.environ["PATH"]}, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stdout == "['a', '-n', 'b c'] 0 2\n"


def test_moved_installation(tmp_path, script):
    """The command is found beside the launcher, wherever that is."""
    shutil.copy(MPISHEAF, tmp_path / "mpisheaf")
    script('echo "moved $*"', name="sheaf")
    done = run("-n", "2", "word", "a b", program=str(tmp_path / "mpisheaf"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "moved word a b\n"


@pytest.mark.parametrize("env, remove", [
    ({}, ["HOME"]), ({"HOME": "/no/such/home"}, []), ({"TMPDIR": "/no/such/dir"}, []),
    ({"TMPDIR": "/proc"}, []), ({"TMPDIR": ""}, [])])
def test_odd_environment(env, remove):
    tool = os.path.join(BUILD, "tests", "par_tool")
    done = run("-n", "3", tool, "sleep=1,cost=2", env=env, remove=remove)
    assert done.returncode == 0
    assert done.stderr == ""


def test_without_ssh(tmp_path):
    tool = os.path.join(BUILD, "tests", "par_tool")
    path = links(tmp_path / "bin", "sh", "mpirun", "orted", "env")
    done = run("-n", "2", tool, "cost=2", env={"PATH": path})
    assert done.returncode == 0 and done.stderr == "", done.stderr


def on_terminal(*words):
    """mpisheaf in a session with a terminal of its own."""
    return Terminal(MPISHEAF, *words, env={k: v for k, v in os.environ.items() if k != "DISPLAY"})


def test_terminal_stays_a_terminal(script):
    program = script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 1\n'
                     'test -t 0 && test -t 1 && test -t 2 && echo yes; read word; echo "got $word"')
    terminal = on_terminal("-n", "2", program)
    terminal.type(b"hello\n")
    status, out = terminal.finish()
    assert status == 0
    assert b"yes" in out and b"got hello" in out


def test_ctrl_c_reaches_the_client_only(script):
    """Servers that do not leave when the client has ended are ended."""
    program = script('meet 2; [ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 3600\n'
                     'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done')
    terminal = on_terminal("-n", "2", program)
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    status, out = terminal.finish()
    assert status == 9 and b"caught" in out


def test_window_for_a_session(script, tmp_path):
    """With a display and an xterm (here one that only notes how it is called) the client runs in it."""
    shutil.copy(MPISHEAF, tmp_path / "mpisheaf")
    script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 0.3; echo "client $*" >>$NOTE; exit 4', name="sheaf")
    script('echo "xterm $1" >>$NOTE; while [ "$1" != -e ]; do shift; done; shift; exec "$@"', name="xterm")
    note = tmp_path / "note"
    env = {"DISPLAY": ":7", "NOTE": str(note), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    program = str(tmp_path / "mpisheaf")
    done = subprocess.run([program, "-n", "2"], env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 4, done.stderr
    assert note.read_text() == "xterm -T\nclient \n"
    note.unlink()
    done = run("-n", "2", program=program, env=env)  # fed from a pipe: no window
    assert done.returncode == 4 and note.read_text() == "client \n"
    note.unlink()
    done = run("-n", "2", "-c", "x.py", program=program, env=env)  # no session
    assert done.returncode == 4 and note.read_text() == "client -c x.py\n"


def test_window_that_cannot_open(script, tmp_path):
    """The session is in the terminal then."""
    shutil.copy(MPISHEAF, tmp_path / "mpisheaf")
    script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 0.3; echo here; exit 4', name="sheaf")
    script('exit 1', name="xterm")
    env = {"DISPLAY": ":7", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([str(tmp_path / "mpisheaf"), "-n", "2"], env=dict(os.environ, **env),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 4, done.stderr
    assert done.stdout == "here\n"


def test_rank_0_on_another_host(script, tmp_path):
    """A stand-in for ssh that starts mpirun's daemon here under another name; the local socket is hidden by a network
    namespace of its own where that is allowed, so that streams and status take the long way."""
    agent = script('while [ "$1" != node7 ]; do shift; done\nshift; exec sh -c "$*"', name="agent")
    program = script('[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 0.3; echo out; exit 6')
    done = run("-n", "2", "-host", "node7:2", "--mca", "plm_rsh_agent", agent, "--mca",
               "plm_rsh_no_tree_spawn", "1", program)
    assert done.returncode == 6, done.stderr
    assert done.stdout == "out\n"
