# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The product's own REST, `/api/v1`: one file a resource, one function an operation, which calls one use case."""
