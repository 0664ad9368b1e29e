# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of a process: file, then environment, and no typing error passes."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.core.settings import Settings, load


def loaded(tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None) -> Settings:
    file = tmp_path / "mailroom.toml"
    file.write_text(toml, encoding="utf-8")
    return load(file, environment or {})


def test_without_file_and_environment_the_defaults_hold() -> None:
    settings = load(None, {})
    assert settings.listen.smtp == "127.0.0.1:2525"
    assert settings.database_url == "sqlite:///var/mailroom.db"
    assert settings.blobs_url == "file://var/blobs"


def test_a_file_names_what_differs(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """
        data = "/srv/mail"
        mx_hosts = ["mx1.corp.example", "mx2.corp.example"]
        [listen]
        lmtp = "127.0.0.1:24"
        [egress]
        allow = ["10.0.0.0/8", "fd00::/8"]
        [limits]
        mail_size = 1000
        """,
    )
    assert settings.data == Path("/srv/mail")
    assert settings.database_url == "sqlite:////srv/mail/mailroom.db"
    assert settings.mx_hosts == ("mx1.corp.example", "mx2.corp.example")
    assert (settings.listen.lmtp, settings.listen.smtp) == ("127.0.0.1:24", "127.0.0.1:2525")
    assert settings.egress.allow == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.limits.mail_size == 1000


def test_the_environment_goes_before_the_file_and_nests_with_two_underscores(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        'database = "sqlite:///a.db"\n[listen]\nsmtp = ""\n',
        {
            "MAILROOM_DATABASE": "postgresql://db/mail",
            "MAILROOM_LISTEN__SMTP": "0.0.0.0:25",
            "MAILROOM_LIMITS__IDLE": "60",
            "MAILROOM_MX_HOSTS": "mx1.corp.example, mx2.corp.example,",
            "MAILROOM_EGRESS__ALLOW": "127.0.0.0/8,::1",
            "MAILROOM_CONFIG": "names the file and is no setting",
            "PATH": "/bin",
        },
    )
    assert settings.database_url == "postgresql://db/mail"
    assert (settings.listen.smtp, settings.limits.idle) == ("0.0.0.0:25", 60)
    assert settings.mx_hosts == ("mx1.corp.example", "mx2.corp.example")
    assert settings.egress.allow == (ip_network("127.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize(
    ("toml", "environment", "named"),
    [
        ("datbase = 'x'", {}, "datbase"),
        ("[listen]\nstmp = ''", {}, "listen.stmp"),
        ("", {"MAILROOM_LISTEN__STMP": ":25"}, "listen.stmp"),
        ("listen = ':25'", {}, "listen"),
        ("listen = ':25'", {"MAILROOM_LISTEN__SMTP": ":25"}, "listen.smtp"),
        ("hostname = 5", {}, "hostname"),
        ("data = 5", {}, "data"),
        ("mx_hosts = 5", {}, "mx_hosts"),
        ("[limits]\nidle = 'soon'", {}, "limits.idle"),
        ("[limits]\nidle = 1.5", {}, "limits.idle"),
        ("[limits]\nidle = true", {}, "limits.idle"),
        ("", {"MAILROOM_LIMITS__IDLE": ""}, "limits.idle"),
        ("[egress]\nallow = ['10.0.0.1/8']", {}, "egress.allow"),
        ("[egress]\nallow = 'intranet'", {}, "egress.allow"),
        ("not toml", {}, "mailroom.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, toml: str, environment: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        loaded(tmp_path, toml, environment)
    assert str(refused.value.about["name"]).endswith(named)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"gone\.toml"):
        load(tmp_path / "gone.toml", {})
