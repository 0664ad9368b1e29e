# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The push URL: a new mail's eight fields, POSTed to whoever asked, signed so that they can tell it is us."""
