// SPDX-FileCopyrightText: The Mailroom authors
// SPDX-License-Identifier: Apache-2.0
// Light or dark as the system has it. It runs before the first paint, or the page would flash.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
dark.addEventListener("change", follow);
follow();
