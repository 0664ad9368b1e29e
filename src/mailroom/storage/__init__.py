# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where rows and bodies lie: the ports, the schema, the claim, and one folder of engines behind them."""
