# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A Dovecot of the test's own, on loopback and in a folder of its own: the yardstick for answers.

Its users are whoever signs in, with any password; their folders are those that a mailbox of ours begins with.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE = 30.0

_CONFIGURATION = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
instance_name = {name}
ssl = no
disable_plaintext_auth = no
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
first_valid_uid = 0
mail_location = sdbox:~/mail
mail_fsync = never
mail_max_userip_connections = 0
imap_client_workarounds =
mailbox_list_index = yes
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
}}
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner_group} home={folder}/home/%n allow_all_users=yes
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


@contextlib.contextmanager
def dovecot(program: str) -> Iterator[int]:
    """Dovecot, running; gives the port of its IMAP."""
    # Not in pytest's folder: as root, Dovecot gives its users' processes away, and pytest lets nobody else in.
    with tempfile.TemporaryDirectory(prefix="dovecot-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), _free_port()
        configuration = _configure(folder, port)
        with (folder / "dovecot.out").open("wb") as output:
            process = subprocess.Popen([program, "-F", "-c", configuration], stdout=output, stderr=output)
        try:
            _await_port(port, process, folder)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE)


def _configure(folder: Path, port: int) -> Path:
    me, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    internal, internal_group, login, owner, owner_group = me, group, me, me, group
    (folder / "home").mkdir()
    if os.geteuid() == 0:
        internal, internal_group, login, owner, owner_group = "dovecot", "dovecot", "dovenull", "mail", "mail"
        folder.chmod(0o711)
        shutil.chown(folder / "home", owner, owner_group)
    configuration = folder / "dovecot.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            name=folder.name,
            port=port,
            internal=internal,
            internal_group=internal_group,
            login=login,
            owner=owner,
            owner_group=owner_group,
        )
    )
    return configuration


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE).close()
            return
        time.sleep(0.01)
    said = (folder / "dovecot.out").read_text()
    raise AssertionError(f"Dovecot does not run: {said}")
