"""
Processes that have answered nothing yet, each asked by many threads at once; run as a program, in a process of its own.

What is made at its first use is made here by several at a time. Each process is forked from one that has only been
built, and ends the program with what went wrong: a signal, or an answer that is not the one a single thread gets.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks.application import create_app
from hooks.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
THREADS = 12
AT_FIRST = 8
"""So many requests each thread sends; every third thread sends the same ones, in the same order."""
OWN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What is new in each answer."""


def asked_for() -> list[tuple[str, str, Any]]:
    """Give method, path and body of what is sent."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(REQUESTS.glob("*.json"))]
    calls = [one for one in read if "hook" in one]
    posted = [("POST", f"/cds-services/oncobone-{call['hook']}", call) for call in calls]
    sent = {"patient": calls[0]["context"]["patientId"], "prefetch": calls[0]["prefetch"]}
    pages = ["/cds-services", "/rules", "/openapi.json"]
    return [*posted, ("POST", "/ask/questions", sent), *(("GET", page, None) for page in pages)]


def answer(app: Flask, call: tuple[str, str, Any]) -> list[Any]:
    method, path, body = call
    response = app.test_client().open(path, method=method, json=body)
    return [response.status_code, OWN.sub("", response.get_data(as_text=True))]


def by_one(app: Flask, calls: list[tuple[str, str, Any]]) -> dict[str, Any]:
    return {str(number): answer(app, call) for number, call in enumerate(calls)}


def by_many(app: Flask, calls: list[tuple[str, str, Any]]) -> dict[str, Any]:
    sys.setswitchinterval(1e-6)  # threads take turns far more often than they would
    order = list(range(len(calls)))
    random.Random(os.getpid()).shuffle(order)
    together, found = threading.Barrier(THREADS), {}

    def ask(thread: int) -> None:
        together.wait()
        for number in order[thread % 3 :: 3][:AT_FIRST]:
            found[f"{number} of {thread}"] = answer(app, calls[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def apart(what: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do something in a process of its own. Raises RuntimeError when that does not end by itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8") as told:
            json.dump(what(), told)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        text = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise RuntimeError(f"a process ended with {code}")
    found: dict[str, Any] = json.loads(text)
    return found


def main(rounds: int) -> None:
    app = create_app(Settings(smart_client_id="oncobone", fhir_servers=("https://fhir.example.org/r4",)))
    logging.disable(logging.CRITICAL)
    calls = asked_for()
    right = apart(lambda: by_one(app, calls))
    sys.stdout.write(f"{ ({status for status, _ in right.values()}) }\n")
    for _ in range(rounds):
        for where, found in apart(lambda: by_many(app, calls)).items():
            if found[0] != HTTPStatus.TOO_MANY_REQUESTS and found != right[where.split()[0]]:  # the form's bound holds
                raise RuntimeError(f"another answer to call {where}: {found}"[:2000])


if __name__ == "__main__":
    main(int(sys.argv[1]))
