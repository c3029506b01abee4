"""The server from which tests fork processes; it imports once what takes a command a second or more."""

from __future__ import annotations

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
# Shared by all tests: each process that runs tests has one server.
CONTEXT.set_forkserver_preload(["tests.preload"])
