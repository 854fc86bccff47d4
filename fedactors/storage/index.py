"""Which slot holds which model: a small SQLite database, whose commit is what makes a model kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fedactors.errors import ModelError, StoreError
from fedactors.model import Layout, Version
from fedactors.storage.entries import Entry, Key, checked

APPLICATION_ID = 0x46656441
"""By which SQLite's own tools know the file; 'FedA'."""
FORMAT = 1
RESTORE = "restore it from a backup, or name another directory"

_SCHEMA = f"""
CREATE TABLE layouts (digest BLOB PRIMARY KEY, specs TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    serial INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,      -- a learner, or a rule; empty: the federation, whose models are the versions
    number INTEGER NOT NULL,  -- a version, or the sequence of a learner's model
    base INTEGER,
    layout BLOB NOT NULL REFERENCES layouts,
    digest TEXT NOT NULL,     -- xxh3-128 of the slot's first bytes, as many as the layout takes
    created_unix_s REAL NOT NULL,
    facts TEXT NOT NULL,      -- JSON
    slot INTEGER NOT NULL UNIQUE,
    UNIQUE (owner, number)
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""


class Index:
    """The open database, which no other process can open at the same time."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        """Open it; make it where the file is new or empty.

        Args:
            path: of the database's file.
            sync: a commit survives a loss of power, too.

        Raises:
            StoreError: it cannot be opened, is somebody else's, damaged, or in use.
        """
        self.path = path
        self._layouts: set[bytes] = set()
        with self._explained():
            self._database = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            with self._explained():
                self._begin(sync=sync)
        except BaseException:
            self._database.close()
            raise

    def _begin(self, *, sync: bool) -> None:
        execute = self._database.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        self._refuse_foreign()
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
        with self._transaction():  # it is what takes the lock
            if self._pragma("user_version") == 0:
                for statement in _SCHEMA.split(";\n"):
                    execute(statement)

    def _refuse_foreign(self) -> None:
        found = self._pragma("application_id"), self._pragma("user_version")
        tables = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if found != (APPLICATION_ID, FORMAT) and (found != (0, 0) or tables):
            what = f"a store of format {found[1]}" if found[0] == APPLICATION_ID else "somebody else's database"
            raise StoreError(f"{self.path} is {what}, not a store of format {FORMAT}; name another directory")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def entries(self) -> list[tuple[Entry, int]]:
        """What is kept, and the slot of each, in the order in which it was put.

        Raises:
            StoreError: the database is damaged.
        """
        with self._explained():
            layouts = dict(self._database.execute("SELECT digest, specs FROM layouts"))
            rows = self._database.execute(
                "SELECT owner, number, base, layout, digest, created_unix_s, serial, facts, slot FROM entries ORDER BY serial"
            ).fetchall()
        try:
            known = {key: Layout.from_specs(json.loads(specs)) for key, specs in layouts.items()}
            found = [
                (_read(Key(owner or None, number), base, known[layout], digest, created, serial, facts), int(slot))
                for owner, number, base, layout, digest, created, serial, facts, slot in rows
            ]
        except (ValueError, KeyError, TypeError, RecursionError, ModelError) as error:
            raise StoreError(f"{self.path} is damaged: {error}; {RESTORE}") from error
        self._layouts = set(known)
        return found

    def commit(self, entry: Entry, slot: int, going: Sequence[Entry]) -> None:
        """Have an entry and let others go.

        Raises:
            StoreError: it cannot be written; nothing has changed.
        """
        layout = entry.layout.digest
        with self._explained(), self._transaction():
            if layout not in self._layouts:
                specs = json.dumps(entry.layout.specs, separators=(",", ":"))
                self._database.execute("INSERT INTO layouts VALUES (?, ?)", (layout, specs))
            self._delete(going)
            self._database.execute(
                "INSERT INTO entries (owner, number, base, layout, digest, created_unix_s, serial, facts, slot)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.key.owner or "", entry.number, entry.base, layout, entry.digest, entry.created_unix_s, entry.serial,
                    json.dumps(entry.facts), slot,
                ),
            )  # fmt: skip
        self._layouts.add(layout)

    def note(self, entry: Entry) -> None:
        """Keep an entry's facts.

        Raises:
            StoreError: as `commit`.
        """
        with self._explained(), self._transaction():
            self._database.execute("UPDATE entries SET facts = ? WHERE serial = ?", (json.dumps(entry.facts), entry.serial))

    def forget(self, entries: Sequence[Entry]) -> None:
        """Let entries go.

        Raises:
            StoreError: as `commit`.
        """
        with self._explained(), self._transaction():
            self._delete(entries)

    def close(self) -> None:
        """Let go of the file; what stands in its log is moved into it."""
        self._database.close()

    def _delete(self, entries: Sequence[Entry]) -> None:
        self._database.executemany("DELETE FROM entries WHERE serial = ?", [(entry.serial,) for entry in entries])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where SQLite's own words repeat damaged bytes
            raise StoreError(f"{self.path} {_why(error)}") from error


def _read(key: Key, base: Version | None, layout: Layout, digest: str, created_unix_s: float, serial: int, facts: str) -> Entry:
    return checked(Entry(key, base, layout, digest, created_unix_s, serial, json.loads(facts)))


def _why(error: sqlite3.Error | UnicodeDecodeError) -> str:
    """What SQLite's error means to whoever runs a federation."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "is in use by another controller; stop that one, or name another directory"
    if name.startswith("SQLITE_FULL"):
        return "cannot be written: the disk is full; make room, or set lineage_length or max_bytes"
    if isinstance(error, UnicodeDecodeError) or name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"is damaged, or no store's index ({error}); {RESTORE}"
    return f"cannot be used: {error}; see that its directory can be written to, or name another"
