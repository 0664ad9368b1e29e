# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: every benchmark, and the page with what they found, docs/reference/performance.md.

`python -m bench mail_in --rounds 3 --seconds 1` runs one, quickly, and prints its table. As root on Debian with
postfix, dovecot-lmtpd and a C compiler; everything listens on the loopback only.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import backup, imap, machine, mail_in, memory, notices, push, signatures, submit

_PAGE = Path(__file__).parents[1] / "docs/reference/performance.md"
_BENCHMARKS: dict[str, tuple[str, Callable[..., str]]] = {
    "mail_in": ("Mail in", mail_in.run),
    "imap": ("IMAP", imap.run),
    "memory": ("Memory and large mails", memory.run),
    "push": ("From mail to push", push.run),
    "notices": ("From mail to phone", notices.run),
    "signatures": ("Signatures", signatures.run),
    "submit": ("Submission", submit.run),
    "backup": ("Backup and export of 100,000 mails", backup.run),
}
_HEAD = """\
# Performance

Made by `{command}`; `make bench` makes it again. The servers run side by side on one machine and are loaded in turn,
round after round; figures are medians of {rounds} rounds of {seconds:g} s after a warm-up. The ratio to
Postfix -> Dovecot mdbox is what counts: machines differ, and drift.

Machine: {facts}. Sync of 4 KiB: {sync:.2f} ms. Others kept {others:.1f} processors busy when the run
began. Peers: {peers}; their settings are in `bench/peers/`.

- Mails are of 4 KiB with real headers, to 100 mailboxes. *Delivered* means in the mailbox, indexed, and synced to disk:
  for Mailroom that is before the `250`; for Postfix when its queue is empty, which the rate waits for.
- CPU is user and system time of all of a server's processes. The load comes from one process (`bench/load.c`), whose
  own CPU a mail stands under "load us". "ms" is the time from a mail's last octet to its `250`: median, 99th
  percentile.
- aiosmtpd stores nothing: it shows what a protocol in Python costs, not what a mail system does.
"""


def main() -> None:
    """Run what the command line names, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks, peers beside us in the same run.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(_BENCHMARKS)} (all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5, help="of load in each round")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (a temporary folder)")
    asked = parser.parse_args()
    if unknown := set(asked.names) - _BENCHMARKS.keys():
        parser.error(f"there is no {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="mailroom-bench-", dir=asked.folder, ignore_cleanup_errors=True) as place:
        folder = Path(place)
        folder.chmod(0o755)  # Postfix and Dovecot go in as users of their own
        head = _head(folder, asked)
        tables = [_run(name, folder, asked) for name in asked.names or _BENCHMARKS]
        page = "\n".join([head, *tables])
    if asked.names:
        print("\n".join(tables))
    else:
        _PAGE.parent.mkdir(parents=True, exist_ok=True)
        _PAGE.write_text(page)
        print(page)


def _run(name: str, folder: Path, asked: argparse.Namespace) -> str:
    title, benchmark = _BENCHMARKS[name]
    print(f"{title}:", flush=True)
    own = folder / name
    own.mkdir(mode=0o755)
    return f"## {title}\n\n{benchmark(own, rounds=asked.rounds, seconds=asked.seconds)}"


def _head(folder: Path, asked: argparse.Namespace) -> str:
    command = "python -m bench"
    if (asked.rounds, asked.seconds) != (5, 2.5):
        command += f" --rounds {asked.rounds} --seconds {asked.seconds:g}"
    return _HEAD.format(
        command=command,
        rounds=asked.rounds,
        seconds=asked.seconds,
        facts=machine.facts(folder),
        sync=machine.sync_ms(folder),
        others=machine.load_average(),
        peers=_peers(),
    )


def _peers() -> str:
    postfix = _says("postconf", "-dh", "mail_version")
    dovecot = _says("dovecot", "--version").partition(" ")[0]
    return f"Postfix {postfix}, Dovecot {dovecot}"


def _says(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
