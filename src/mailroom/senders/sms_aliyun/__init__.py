# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMS through Alibaba Cloud: templates and signatures that it has approved."""
