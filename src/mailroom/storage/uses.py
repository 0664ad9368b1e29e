# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which public mailboxes a member uses, as SQL: those given to him, to a department that he is in, however deep, or to
a tag that he bears. The directory decides by it, and the mail store joins it.
"""

from __future__ import annotations

from sqlalchemy import BindParameter, CompoundSelect, select, union

from mailroom.storage import schema

_departments = schema.departments
_members = schema.department_members
_tagged = schema.tag_members


def public_mailboxes(member: BindParameter[int]) -> CompoundSelect[tuple[int]]:
    """Their ids, for the member with that id."""
    within = select(_members.c.department_id).where(_members.c.member_id == member).cte("within", recursive=True)
    above = select(_departments.c.parent_id).join(within, _departments.c.id == within.c.department_id)
    within = within.union(above.where(_departments.c.parent_id.is_not(None)))
    return union(
        select(schema.access.c.mailbox_id).where(schema.access.c.member_id == member),
        # Not joined: SQLite would read all of the table.
        select(schema.access_departments.c.mailbox_id).where(
            schema.access_departments.c.department_id.in_(select(within.c.department_id))
        ),
        select(schema.access_tags.c.mailbox_id)
        .join(_tagged, _tagged.c.tag_id == schema.access_tags.c.tag_id)
        .where(_tagged.c.member_id == member),
    )
