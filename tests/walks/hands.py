# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An administrator's two hands: the command, and the REST interface. What one can do the other can, in like words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from mailroom.events import jobs
from mailroom.storage.ports import Hints
from tests.cli.conftest import Mailroom


class Refused(Exception):
    """The administrator was told no; `code` is the stable one."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Hands(Protocol):
    """What an administrator does. Raises `Refused`."""

    async def add_domain(self, name: str) -> str:
        """Its state."""

    async def check_domain(self, name: str) -> Mapping[str, Any]:
        """Its `state` and the `finding`."""

    async def add_member(self, userid: str, address: str, password: str) -> str:
        """The address of his mailbox."""

    async def make_public(self, address: str, name: str, users: Sequence[str]) -> None: ...

    async def change_users(self, address: str, *, remove: str, add: str) -> None: ...

    async def rename(self, address: str, new: str) -> None: ...

    async def back_up(self, source: str, target: str) -> None:
        """To its end."""

    async def reassign(self, address: str, userid: str) -> str | None:
        """The address of the mailbox that went to the bin."""

    async def to_public(self, address: str, users: Sequence[str]) -> None: ...

    async def bin(self) -> Sequence[Mapping[str, Any]]:
        """What waits there: `address` and `source`."""

    async def restore(self, address: str, userid: str) -> None: ...

    async def purge(self, address: str) -> None:
        """To its end."""

    async def remove_member(self, userid: str) -> None: ...

    async def audit(self) -> Sequence[str]:
        """The actions, the newest first."""


@dataclass(frozen=True, slots=True)
class Command:
    """By `mailroom`, in processes beside the server."""

    mailroom: Mailroom

    async def _do(self, *words: str, stdin: str = "") -> Any:
        said = await asyncio.to_thread(self.mailroom, *words, stdin=stdin)
        if said.status:
            raise Refused(said.err.partition(":")[0].strip())
        return said.json if said.out.startswith(("{", "[")) else said.out

    async def add_domain(self, name: str) -> str:
        return str((await self._do("domain", "add", name, "--json"))["state"])

    async def check_domain(self, name: str) -> Mapping[str, Any]:
        said = await asyncio.to_thread(self.mailroom, "domain", "check", name, "--json")
        found: Mapping[str, Any] = said.json
        return found

    async def add_member(self, userid: str, address: str, password: str) -> str:
        words = ("member", "add", userid, "--name", userid.capitalize(), "--mailbox", address)
        return str((await self._do(*words, "--password-stdin", "--json", stdin=f"{password}\n"))["mailbox"])

    async def make_public(self, address: str, name: str, users: Sequence[str]) -> None:
        named = [word for userid in users for word in ("--user", userid)]
        await self._do("mailbox", "create-public", address, "--name", name, *named)

    async def change_users(self, address: str, *, remove: str, add: str) -> None:
        await self._do("mailbox", "users", address, "--remove-user", remove, "--add-user", add)

    async def rename(self, address: str, new: str) -> None:
        await self._do("mailbox", "rename", address, new)

    async def back_up(self, source: str, target: str) -> None:
        await self._do("mailbox", "backup", source, "--into", target)

    async def reassign(self, address: str, userid: str) -> str | None:
        displaced: str | None = (await self._do("mailbox", "reassign", address, "--to", userid, "--json"))["to_bin"]
        return displaced

    async def to_public(self, address: str, users: Sequence[str]) -> None:
        named = [word for userid in users for word in ("--user", userid)]
        await self._do("mailbox", "to-public", address, *named)

    async def bin(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = await self._do("bin", "list", "--json")
        return found

    async def restore(self, address: str, userid: str) -> None:
        await self._do("bin", "restore", address, "--to", userid)

    async def purge(self, address: str) -> None:
        await self._do("bin", "purge", address, stdin=f"{address}\n")

    async def remove_member(self, userid: str) -> None:
        await self._do("member", "remove", userid)

    async def audit(self) -> Sequence[str]:
        return [one["action"] for one in await self._do("audit", "list", "--json")]


@dataclass(frozen=True, slots=True)
class Rest:
    """By HTTP, with a key."""

    client: httpx2.AsyncClient
    hints: Hints

    async def _do(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = await self.client.request(method, f"/api/v1{path}", json=body)
        told = answer.json() if answer.content else {}
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise Refused(told["code"])
        return told

    async def _job(self, job: Mapping[str, Any]) -> None:
        async with asyncio.timeout(60):
            with self.hints.listen(jobs.TOPIC) as ear:
                while (found := await self._do("GET", f"/jobs/{job['id']}"))["state"] in {"queued", "running"}:
                    await ear.wait(0.05)
        if found["state"] != "done":
            raise Refused(found["reason"].partition(":")[0])

    async def add_domain(self, name: str) -> str:
        return str((await self._do("POST", "/domains", {"name": name}))["state"])

    async def check_domain(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._do("POST", f"/domains/{name}/check")
        return found

    async def add_member(self, userid: str, address: str, password: str) -> str:
        body = {"userid": userid, "name": userid.capitalize(), "mailbox": address, "password": password}
        return str((await self._do("POST", "/members", body))["mailbox"])

    async def make_public(self, address: str, name: str, users: Sequence[str]) -> None:
        await self._do("POST", "/mailboxes", {"address": address, "name": name, "members": list(users)})

    async def change_users(self, address: str, *, remove: str, add: str) -> None:
        users = set((await self._do("GET", f"/mailboxes/{address}"))["users"]["members"])
        await self._do("PATCH", f"/mailboxes/{address}/users", {"members": sorted(users - {remove} | {add})})

    async def rename(self, address: str, new: str) -> None:
        await self._do("POST", f"/mailboxes/{address}/rename", {"address": new})

    async def back_up(self, source: str, target: str) -> None:
        await self._job(await self._do("POST", f"/mailboxes/{source}/backups", {"into": target}))

    async def reassign(self, address: str, userid: str) -> str | None:
        entry = (await self._do("POST", f"/mailboxes/{address}/reassign", {"userid": userid}))["displaced"]
        return None if entry is None else str(entry["address"])

    async def to_public(self, address: str, users: Sequence[str]) -> None:
        await self._do("POST", f"/mailboxes/{address}/to-public", {"members": list(users)})

    async def bin(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = (await self._do("GET", "/bin?state=waiting"))["items"]
        return found

    async def restore(self, address: str, userid: str) -> None:
        await self._do("POST", f"/bin/{address}/restore", {"userid": userid})

    async def purge(self, address: str) -> None:
        await self._job(await self._do("POST", f"/bin/{address}/purge", {"confirm": address}))

    async def remove_member(self, userid: str) -> None:
        await self._do("DELETE", f"/members/{userid}")

    async def audit(self) -> Sequence[str]:
        return [one["action"] for one in (await self._do("GET", "/audit"))["items"]]
