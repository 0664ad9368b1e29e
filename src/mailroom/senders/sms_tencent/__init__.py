# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMS through Tencent Cloud: templates and signatures that it has approved."""
