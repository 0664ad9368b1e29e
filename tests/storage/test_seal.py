# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sealed secrets: only with the key, and only unchanged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.storage.seal import Seal


def test_what_was_sealed_is_unsealed_after_a_restart(tmp_path: Path) -> None:
    sealed = Seal.open(tmp_path / "new" / "key").seal("密码 s3cret")
    assert Seal.open(tmp_path / "new" / "key").unseal(sealed) == Secret("密码 s3cret")


def test_sealed_text_shows_nothing_and_never_looks_the_same(tmp_path: Path) -> None:
    seal = Seal.open(tmp_path / "key")
    assert b"s3cret" not in seal.seal("s3cret")
    assert seal.seal("s3cret") != seal.seal("s3cret")


def test_the_key_is_for_our_eyes_only_and_leaves_no_draft(tmp_path: Path) -> None:
    Seal.open(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_another_key_is_named_as_the_reason(tmp_path: Path) -> None:
    sealed = Seal.open(tmp_path / "one").seal("s3cret")
    with pytest.raises(InvalidValue, match="another key"):
        Seal.open(tmp_path / "two").unseal(sealed)


@pytest.mark.parametrize("position", [4, 15, 16, -1])
def test_a_changed_octet_is_noticed(tmp_path: Path, position: int) -> None:
    seal = Seal.open(tmp_path / "key")
    sealed = bytearray(seal.seal("s3cret"))
    sealed[position] ^= 1
    with pytest.raises(InvalidValue, match="changed"):
        seal.unseal(bytes(sealed))


def test_a_key_file_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(InvalidValue, match="32"):
        Seal.open(tmp_path / "key")


def test_all_who_make_the_key_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        seals = list(threads.map(lambda _: Seal.open(tmp_path / "key"), range(8)))
    sealed = seals[0].seal("s3cret")
    assert {seal.unseal(sealed) for seal in seals} == {Secret("s3cret")}
