"""The loop of a process that is asked for one thing after another: each a line of JSON, as is its answer.

Only Python's own library is imported, since the authors' code may need an interpreter without this project's
dependencies. :mod:`harness.asking` is the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(prepare: Callable[[dict[str, Any]], object]) -> None:
    """Answer until the end of standard input.

    The request ``prepare`` makes an object; any other is the name of one of its methods, and its arguments.

    Args:
        prepare: makes the object from the fields of the request.
    """
    # Standard output is for answers only; the output of the measured code goes elsewhere.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    side: object = None
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        answer: Any = None
        if name == "prepare":
            side = prepare(request)
        else:
            answer = getattr(side, name)(**request)
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), file=answers, flush=True)
