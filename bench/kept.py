"""
Prints what is kept of a call: bytes on the disk for each, as the database file grows by a thousand of them.

Usage: python bench/kept.py
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import uuid
from pathlib import Path

CALLS = 1000


def main() -> None:
    """Call a thousand times in this process, and weigh the file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "oncobone.sqlite")
        os.environ |= {"ONCOBONE_NOW": "2026-11-22", "ONCOBONE_DATABASE_URL": f"sqlite:///{file}"}
        from bodies import body  # noqa: PLC0415 - after the settings

        from hooks.application import create_app  # noqa: PLC0415
        from hooks.configuration import load  # noqa: PLC0415
        from hooks.store.store import store_for  # noqa: PLC0415

        settings = load()
        store = store_for(settings)
        client = create_app(settings, store=store).test_client()
        sent = json.loads(body(100)[0])

        def size() -> int:
            with sqlite3.connect(file) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            return file.stat().st_size

        before = size()
        for _ in range(CALLS):
            client.post("/cds-services/oncobone-patient-view", json=sent | {"hookInstance": str(uuid.uuid4())})
        cards = sum(count.cards for count in store.feedback_counts())
        store.close()
        print(f"{(size() - before) / CALLS:.0f} bytes a call, with {cards / CALLS:.1f} cards")


if __name__ == "__main__":
    main()
