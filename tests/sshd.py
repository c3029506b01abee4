"""A private SSH server on the loopback, in one folder, which accepts the user who started it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import SEARCH, wait

CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
# The owner of the folder does not matter here.
StrictModes no
Subsystem sftp internal-sftp
"""


def absent() -> bool:
    """Return whether this machine lacks a program that the server needs."""
    return not all(shutil.which(command, path=SEARCH) for command in ("sshd", "ssh-keygen"))


class Server:
    """A running server.

    Attributes:
        url: address up to the path, beginning with `ssh://`.
        key: the file of the user's key.
        known_hosts: a line for the user's file of this name.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("host", "user"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True)
        self.port = _free_port()
        self.url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"
        self.key = folder / "user"
        kind, code, *_ = (folder / "host.pub").read_text().split()
        self.known_hosts = f"[127.0.0.1]:{self.port} {kind} {code}\n"
        (folder / "sshd_config").write_text(CONFIGURATION.format(port=self.port, folder=folder))

    def answers(self) -> bool:
        """Return whether the port is open."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server until the end of the context; it writes in the folder alone."""
    server = Server(folder)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # confines connections before login
    command = [str(shutil.which("sshd", path=SEARCH)), "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait(server.answers, f"sshd does not answer: {folder / 'log'}", 120)
            yield server
        finally:
            process.terminate()
            process.wait(120)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
