# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for tests: each is a set of namespaces (network, host name, processes, mounts) that share this machine's files.
What they say to each other stays between them, and all of it goes when the holder of the namespaces dies; they die with
the process that made them. Only for root."""
import ctypes
import os
import shutil
import signal
import subprocess
import sys

import runs

HERE = os.path.dirname(os.path.abspath(__file__))
NET = "10.79.0."
SSHD = "/usr/sbin/sshd"
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Host:
    """`files` are {place: file to see there}."""

    def __init__(self, name, files):
        self.name = name
        script = "mount -t tmpfs tmpfs /run && mkdir /run/sshd && "
        script += "".join(f"mount --bind '{file}' '{place}' && " for place, file in files.items())
        script += f"hostname {name} && ip link set lo up && echo ready && exec sleep infinity"
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        if self.holder.stdout.readline() != "ready\n":
            raise OSError(f"no namespaces: {self.holder.communicate()[1]}")
        with open(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children") as f:
            self.pid = int(f.read().split()[0])

    def words(self, *command, cwd="/"):
        """The command line that runs a command there."""
        return ["nsenter", "--target", str(self.pid), "--net", "--uts", "--mount", "--pid", f"--wdns={cwd}", *command]

    def do(self, *command):
        subprocess.run(self.words(*command), check=True, capture_output=True, text=True, timeout=runs.LIMIT_S)

    def close(self):
        self.holder.kill()
        self.holder.communicate()


class Hosts:
    """Two hosts with a cable between them. `agent`: ssh (with an sshd on each) or rsh (the one beside this file)."""

    def __init__(self, folder, names=("ada", "bob"), agent="rsh"):
        self.folder, self.all, self.daemons, self.agent = str(folder), [], [], agent
        try:
            self._start(names)
        except BaseException:
            self.close()
            raise

    def _start(self, names):
        table = self._write("hosts", "127.0.0.1 localhost\n" + "".join(
            f"{NET}{i} {name}\n" for i, name in enumerate(names, 1)))
        files = {"/etc/hosts": table}
        if self.agent == "ssh":
            files["/etc/ssh/ssh_config"] = self._prepare_ssh()
        self.all += [Host(name, files) for name in names]
        a, b = self.all
        command = ["nsenter", "--target", str(a.pid), "--net", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
                   "netns", str(b.pid)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=runs.LIMIT_S)
        for i, host in enumerate(self.all, 1):
            host.do("ip", "address", "add", f"{NET}{i}/24", "dev", "eth0")
            host.do("ip", "link", "set", "eth0", "up")
            self._serve(host, f"{NET}{i}")

    def _write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def _prepare_ssh(self):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.folder, name)], check=True)
        shutil.copy(os.path.join(self.folder, "user.pub"), os.path.join(self.folder, "authorized"))
        return self._write("ssh_config", f"IdentityFile {self.folder}/user\nStrictHostKeyChecking no\nLogLevel ERROR\n"
                           "UserKnownHostsFile /dev/null\nBatchMode yes\nConnectTimeout 20\nServerAliveInterval 3\n")

    def _serve(self, host, address):
        if self.agent == "ssh":
            config = self._write(f"sshd.{host.name}", f"ListenAddress {address}\nHostKey {self.folder}/host\nStrictModes no\n"
                                 f"AuthorizedKeysFile {self.folder}/authorized\nPermitRootLogin yes\nUsePAM yes\nPidFile none\n")
            command = [SSHD, "-D", "-e", "-f", config]
        else:
            command = [sys.executable, os.path.join(HERE, "rsh"), "--serve", address]
        log = os.path.join(self.folder, f"daemon.{host.name}")
        with open(log, "w") as out:
            self.daemons.append(subprocess.Popen(host.words(*command), stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        port = 22 if self.agent == "ssh" else 514
        runs.wait_until(lambda: not subprocess.run(host.words("bash", "-c", f": </dev/tcp/{address}/{port}"),
                                                   capture_output=True).returncode, f"{self.agent} on {host.name}")

    def agent_environment(self):
        """What mpisheaf's environment needs besides."""
        return {} if self.agent == "ssh" else {"OMPI_MCA_plm_rsh_agent": os.path.join(HERE, "rsh")}

    def environment(self):
        return dict(os.environ, **self.agent_environment())

    def close(self):
        for host in self.all:
            host.close()
        for daemon in self.daemons:
            daemon.wait()


def missing():
    """What it needs and this machine has not; None when all is there."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program in ("ip", "unshare", "nsenter", "mount"):
        if not shutil.which(program):
            return f"there is no program {program}"
    try:
        Host("probe", {}).close()
    except (OSError, IndexError) as e:
        return str(e)
    return None
