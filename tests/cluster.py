"""A private Slurm cluster on this machine: several nodes with counted GPUs, on the loopback, in one folder.

Examples:
    python tests/cluster.py up build/cluster      # then: source build/cluster/environment
    python tests/cluster.py down build/cluster
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# command -> Debian package
NEEDED = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# What each node declares; the machine need not have it. The memory is that of a job's last attempt too.
CPUS, MEGABYTES, GPUS = 2, 64000, 2

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/run/munge
{listen}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
# The machine may have no cgroups, fewer cores than the nodes say, and no second user.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
MailProg=/bin/true
# Cores, memory and GPUs are shared out, at once.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=batch_sched_delay=0,sched_min_interval=200000,sched_interval=2,bf_interval=2
# Finished jobs stay on record for as long as the tests ask for them; a dead node is noticed soon.
MinJobAge=3600
SlurmdTimeout=10
KillWait=10
ReturnToService=2
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 PriorityTier=1
# Jobs of this partition send those of the other one back to the queue.
PartitionName=urgent Nodes=ALL MaxTime=INFINITE DefaultTime=10 PriorityTier=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""

NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} CoresPerSocket={cpus} "
    "RealMemory={megabytes} Gres=gpu:{gpus} State=UNKNOWN\n"
)

# The step of a job is started without SLURM_CONF; this finds the cluster all the same.
SRUN = """\
#!/bin/sh
SLURM_CONF={configuration} exec {srun} "$@"
"""


class Cluster:
    """The cluster in a folder.

    Args:
        folder: holds everything that the cluster writes.
        nodes: number of compute nodes, which are named node1, node2, ...
    """

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.folder = folder.resolve()
        self.names = [f"node{number + 1}" for number in range(nodes)]
        self.configuration = self.folder / "slurm.conf"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a process that uses the cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), SEARCH])
        return {"SLURM_CONF": str(self.configuration), "PATH": path}

    def up(self) -> None:
        """Start the cluster and wait until all nodes are idle.

        Raises:
            SystemExit: Slurm is not installed, a cluster runs in the folder, or a daemon does not start.
        """
        if missing := absent():
            raise SystemExit(f"error: {', '.join(missing)} not installed: run `make install-slurm` as root")
        if any((self.folder / "run").glob("*.pid")):
            raise SystemExit(f"error: {self.folder}: holds a cluster; take it down first")
        self._write()
        run, log = self.folder / "run", self.folder / "log"
        self.run(
            "munged",
            f"--socket={run / 'munge'}",
            f"--pid-file={run / 'munged.pid'}",
            f"--key-file={self.folder / 'munge.key'}",
            f"--seed-file={self.folder / 'munge.seed'}",
            f"--log-file={log / 'munged.log'}",
            "--origin=127.0.0.1",
            "--num-threads=1",
        )
        self.run("slurmctld", "-f", str(self.configuration))
        for name in self.names:
            self.start(name)
        self.wait_for_nodes()
        lines = [f'export {key}="{value}"\n' for key, value in self.variables.items()]
        (self.folder / "environment").write_text("".join(lines))

    def start(self, name: str) -> None:
        """Start the daemon of one node."""
        self.run("slurmd", "-f", str(self.configuration), "-N", name)

    def wait_for_nodes(self) -> None:
        """Wait until all nodes accept jobs."""
        wait(lambda: self._answering() == len(self.names), "the nodes do not answer", 300)

    def fail(self, name: str) -> None:
        """Kill a node's daemon and all its processes, as a power failure does."""
        killed = [self._pid(name)]
        for pid in _processes():
            if self._ours(pid) and _environment(pid).get("SLURMD_NODENAME") == name:
                killed += [_parent(pid)] if _name(_parent(pid)) == "slurmstepd" else []
                killed.append(pid)
        for pid in killed:
            _signal(pid, signal.SIGKILL)
        (self.folder / "run" / f"{name}.pid").unlink()

    def down(self) -> None:
        """Cancel all jobs and stop the processes that `up` started, no others."""
        if self._ours(self._pid("slurmctld")):
            with contextlib.suppress(SystemExit):
                self.run("scancel", "--user", getpass.getuser())
                wait(lambda: not self.run("squeue", "--noheader").strip(), "jobs do not end", 120)
        for name in (*self.names, "slurmctld", "munged"):
            self._stop(self._pid(name))
            (self.folder / "run" / f"{name}.pid").unlink(missing_ok=True)
        for pid in _processes():
            if _name(pid) == "slurmstepd":
                self._stop(pid)

    def run(self, *command: str) -> str:
        """Run a command on the cluster and return what it prints.

        Raises:
            SystemExit: it fails.
        """
        done = subprocess.run(
            command, env=os.environ | self.variables, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise SystemExit(f"error: {' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def jobs(self) -> dict[int, dict[str, str]]:
        """Return Slurm's record of every job, number -> field -> value."""
        lines = self.run("scontrol", "--oneliner", "show", "jobs").splitlines()
        records = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return {int(record["JobId"]): record for record in records if "JobId" in record}

    def _write(self) -> None:
        for name in ("bin", "dev", "log", "run", "state", *(f"spool/{name}" for name in self.names)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        host = socket.gethostname().partition(".")[0]
        ports = _free_ports(1 + len(self.names))
        # Jobs connect to the machine's own name: unless it is a loopback address, listen on all addresses.
        listen = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny" if _is_loopback(host) else ""
        text = CONFIGURATION.format(
            host=host, port=ports[0], user=getpass.getuser(), folder=self.folder, listen=listen
        )
        gres = ""
        # Slurm counts GPUs by their device files and never opens these.
        for number in range(GPUS):
            (self.folder / "dev" / f"gpu{number}").symlink_to(os.devnull)
        for name, port in zip(self.names, ports[1:], strict=True):
            text += NODE.format(name=name, host=host, port=port, cpus=CPUS, megabytes=MEGABYTES, gpus=GPUS)
            gres += f"NodeName={name} Name=gpu File={self.folder}/dev/gpu[0-{GPUS - 1}]\n"
        self.configuration.write_text(text)
        (self.folder / "gres.conf").write_text(gres)
        srun = self.folder / "bin" / "srun"
        srun.write_text(SRUN.format(configuration=self.configuration, srun=shutil.which("srun", path=SEARCH)))
        srun.chmod(0o755)

    def _answering(self) -> int:
        states = ["--partition=batch", "--states=idle,mixed,allocated"]
        return len(self.run("sinfo", "--noheader", "--Node", "--responding", *states).splitlines())

    def _pid(self, name: str) -> int:
        """Return the process id in a pid file, or 0 if there is none."""
        try:
            return int((self.folder / "run" / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def _ours(self, pid: int) -> bool:
        return _environment(pid).get("SLURM_CONF") == str(self.configuration)

    def _stop(self, pid: int) -> None:
        if self._ours(pid):
            _signal(pid, signal.SIGTERM)
            try:
                wait(lambda: not self._ours(pid), "", 20)
            except TimeoutError:
                _signal(pid, signal.SIGKILL)


def absent() -> list[str]:
    """Return the packages that the cluster needs and this machine lacks."""
    return [package for command, package in NEEDED.items() if not shutil.which(command, path=SEARCH)]


def wait(condition: Callable[[], object], complaint: str, seconds: float) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not hold within the time; the message begins with the complaint.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{complaint} (waited {seconds:g} s)")
        time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _is_loopback(host: str) -> bool:
    try:
        return socket.gethostbyname(host).startswith("127.")
    except OSError:
        return False


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""  # ended, or another user's


def _environment(pid: int) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in _read(pid, "environ").split("\0") if "=" in entry)


def _name(pid: int) -> str:
    return _read(pid, "comm").strip()


def _parent(pid: int) -> int:
    # The process name in parentheses may hold spaces; the parent's id is the second field after it.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _signal(pid: int, which: signal.Signals) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)


def main() -> None:
    """Start or stop a cluster."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("folder", type=Path, help="folder of everything that the cluster writes")
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder)
    if arguments.what == "up":
        cluster.up()
        print(f"The cluster is up: source {cluster.folder / 'environment'}")
    else:
        cluster.down()


if __name__ == "__main__":
    main()
