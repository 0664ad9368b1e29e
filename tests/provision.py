# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The programs that tests drive and no wheel brings: a browser, and mail clients by other authors.

Each that is missing is installed from Debian when this runs as root there. It never fails: a test whose program is
still missing says so in the closing lines of the run (see `conftest.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"
BIN = CACHE / "bin"

UNPACKED = ("smtp-source", "smtp-sink")
PACKAGES = {
    "bearerbox": ["kannel", "libnet-smpp-perl"],
    "chromium": ["chromium", "fonts-noto-cjk"],
    "curl": ["curl"],
    "dovecot": ["dovecot-imapd"],
    "fetchmail": ["fetchmail"],
    "gammu": ["gammu", "python3-gammu"],
    "imapfilter": ["imapfilter"],
    "interimap": ["interimap"],
    "mbsync": ["isync"],
    "mpop": ["mpop"],
    "msmtp": ["msmtp"],
    "neomutt": ["neomutt"],
    "offlineimap": ["offlineimap3"],
    "pebble": ["pebble"],
    "postfix": ["postfix"],
    "rspamd": ["rspamd"],
    "swaks": ["swaks", "libnet-ssleay-perl"],
}


def which(program: str) -> str | None:
    """Where a program is: on the PATH, or unpacked here."""
    return shutil.which(program) or shutil.which(program, path=str(BIN))


def provision() -> None:
    """Install what is missing, if this machine lets us."""
    missing = [program for program in (*PACKAGES, *UNPACKED) if not which(program)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"provision: {', '.join(missing)} missing; installed only as root on Debian")
        return
    print(f"provision: installing {', '.join(missing)}", flush=True)
    try:
        apt("update")
        packages = [name for program in missing for name in PACKAGES.get(program, [])]
        if packages:
            with no_services():
                apt("install", "--yes", "--no-install-recommends", *packages)
        if set(UNPACKED) & set(missing):
            unpack_postfix()
    except subprocess.CalledProcessError as failed:
        print(f"provision: {failed}\n{failed.stdout}", file=sys.stderr)


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Keep packages from starting what they bring: some are servers, and ask before (invoke-rc.d(8))."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def unpack_postfix() -> None:
    """Take Postfix's load generators out of its package: installing Postfix would start a mail server."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # apt fetches as a user of its own
        apt("download", "postfix", cwd=scratch)
        (package,) = Path(scratch).glob("postfix_*.deb")
        CACHE.mkdir(exist_ok=True)
        run("dpkg-deb", "--extract", str(package), str(CACHE / "postfix"))
    BIN.mkdir(parents=True, exist_ok=True)
    for program in UNPACKED:
        start = BIN / program
        start.write_text(
            "#!/bin/sh\n"
            'postfix=$(dirname "$(readlink -f "$0")")/../postfix\n'
            f'LD_LIBRARY_PATH=$postfix/usr/lib/postfix exec "$postfix/usr/sbin/{program}" "$@"\n'
        )
        start.chmod(0o755)


def apt(*arguments: str, cwd: str | None = None) -> None:
    """Run apt-get without questions."""
    run("apt-get", "--quiet", *arguments, cwd=cwd, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def run(*command: str, cwd: str | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command, keeping its output for the case that it fails."""
    subprocess.run(command, check=True, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    provision()
