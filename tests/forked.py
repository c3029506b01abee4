"""Where tests fork processes from: a server that imports once what takes a command a second or more."""

from __future__ import annotations

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
# For all tests the same: a process that runs tests has one server.
CONTEXT.set_forkserver_preload(["tests.preload"])
