"""The outbox on disk: SQLite with a write-ahead log. The only file that imports sqlite3.

A commit with new messages is one fsync and survives a power cut (synchronous=FULL). A commit that
only forgets acknowledged ones is none (NORMAL): if it is lost, they are sent twice, and subscribers
dedupe. The file is locked for as long as it is open: two daemons cannot share an outbox.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from spotterd.errors import FallBackError, RetryError
from spotterd.publish.base import Message, Row
from spotterd.publish.ledger import Entry

APPLICATION_ID = 0x53504F42  # "SPOB"; with the version below it marks the file as ours
VERSION = 1
ALWAYS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA wal_autocheckpoint = 256;
PRAGMA journal_size_limit = 1048576;
PRAGMA cell_size_check = ON;
"""
NEW_FILE = f"""
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, event TEXT NOT NULL, size INTEGER NOT NULL,
    topic TEXT NOT NULL, qos INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE open_events (
    event TEXT PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
PRAGMA application_id = {APPLICATION_ID};
"""


class Store:
    """Rows in a file. Used by one thread at a time.

    Every method raises RetryError where the disk does not take or give it (full, read-only, I/O
    error, locked by another daemon) and FallBackError where the file's content is broken.
    """

    def __init__(self, path: Path) -> None:
        self.commits = 0  # with an fsync
        self._path = path
        with self._in_words():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit: transactions are begun by hand. Whose thread it is, is the outbox's care.
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=0
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._db.executescript(ALWAYS)
        found = tuple(
            self._db.execute(f"PRAGMA {pragma}").fetchone()[0]
            for pragma in ("application_id", "user_version")
        )
        if found == (APPLICATION_ID, VERSION):
            return  # nothing is written: a full disk can still be read
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise FallBackError(f"The outbox {self._path} was not written by this version.")
        self._db.executescript(f"BEGIN; {NEW_FILE} COMMIT;")

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Everything there is, in order, without payloads. Reads every page of the table."""
        with self._in_words():
            query = "SELECT id, kind, event, size FROM messages ORDER BY id"
            for row_id, *entry in self._db.execute(query):
                yield row_id, Entry(*entry)

    def append(self, rows: Iterable[Row], gone: Iterable[int]) -> None:
        """Keep new rows and forget others, in one commit that survives a power cut."""
        with self._transaction("FULL"):
            for row_id, message in ((row.id, row.message) for row in rows):
                size = len(message.topic) + len(message.payload)
                values = (row_id, message.kind, message.event, size, message.topic, message.qos)
                self._db.execute(
                    "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, message.payload)
                )
                self._note_open(message)
            self._forget(gone)
        self.commits += 1

    def forget(self, gone: Iterable[int]) -> None:
        """Forget rows; costs no fsync, and may come undone in a power cut."""
        with self._transaction("NORMAL"):
            self._forget(gone)

    def after(self, row_id: int, most: int) -> list[Row]:
        """Up to `most` rows that follow `row_id`, in order."""
        with self._in_words():
            query = (
                "SELECT id, topic, payload, qos, kind, event FROM messages"
                " WHERE id > ? ORDER BY id LIMIT ?"
            )
            found = self._db.execute(query, (row_id, most))
            return [
                Row(number, Message(topic, payload, qos, kind=kind, event=event))
                for number, topic, payload, qos, kind, event in found
            ]

    def open_events(self) -> Sequence[Message]:
        """The latest message of every event that has a start and no end."""
        with self._in_words():
            query = "SELECT topic, payload, event FROM open_events ORDER BY event"
            return [
                Message(topic, payload, qos=1, kind="start", event=event)
                for topic, payload, event in self._db.execute(query)
            ]

    def close(self) -> None:
        """Give the file back; what it holds stays."""
        with suppress(sqlite3.Error):
            self._db.close()

    def _note_open(self, message: Message) -> None:
        if message.kind == "end":
            self._db.execute("DELETE FROM open_events WHERE event = ?", (message.event,))
        elif message.kind in ("start", "update"):
            self._db.execute(
                "INSERT OR REPLACE INTO open_events VALUES (?, ?, ?)",
                (message.event, message.topic, message.payload),
            )

    def _forget(self, gone: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM messages WHERE id = ?", ((row_id,) for row_id in gone))

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[None]:
        with self._in_words():
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """SQLite's errors as the two that callers decide by."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise RetryError(f"The outbox {self._path} cannot be used: {error}.") from error
        except OSError as error:
            raise RetryError(
                f"The outbox {self._path} cannot be used: {error.strerror}."
            ) from error
        except sqlite3.DatabaseError as error:
            raise FallBackError(f"The outbox {self._path} is broken: {error}.") from error
