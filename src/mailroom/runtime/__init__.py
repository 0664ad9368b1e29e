# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where the house is put together: settings become engines, engines use cases, use cases servers and loops."""
