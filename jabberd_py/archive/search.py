"""XEP-0431: the full-text index of an archive. It is the database's own kind of index.

The index is made when somebody searches for the first time. It has only the messages of users who search: each search first
adds what has come since the last one. So the index costs nothing on the path of a message.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import Any

from peewee import BigIntegerField, CharField, TextField

from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.element import from_text
from .messages import Message

BATCH = 500
WORDS = 20


class ArchiveText(Table):
    """The text of the archived message with the same number. It is empty for a message without text. ``mine``: one word that
    stands for the owner, by which SQLite's index tells users apart."""

    derived = True
    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    mine = CharField(max_length=32)
    text = TextField()

    class Meta:
        indexes = ((("owner", "id"), False),)


SQLITE = (
    "CREATE VIRTUAL TABLE archive_text_index USING fts5(mine, text, content='archive_text',"
    " content_rowid='id')",
    "CREATE TRIGGER IF NOT EXISTS archive_text_in AFTER INSERT ON archive_text BEGIN"
    " INSERT INTO archive_text_index(rowid, mine, text) VALUES (new.id, new.mine, new.text); END",
    "CREATE TRIGGER IF NOT EXISTS archive_text_out AFTER DELETE ON archive_text BEGIN"
    " INSERT INTO archive_text_index(archive_text_index, rowid, mine, text)"
    " VALUES ('delete', old.id, old.mine, old.text); END",
    "INSERT INTO archive_text_index(archive_text_index) VALUES ('rebuild')",
)
POSTGRES = (
    "CREATE INDEX IF NOT EXISTS archive_text_index ON archive_text USING gin (to_tsvector('simple', text))",
)
MYSQL = (
    "SET SESSION innodb_ft_enable_stopword = 0",
    "CREATE FULLTEXT INDEX archive_text_index ON archive_text (text)",
)
_exists = (
    "SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE()"
    " AND table_name = 'archive_text' AND index_name = 'archive_text_index'"
)


_made: Any = None
"""The store that is known to have its index."""


def kind(db: Any) -> str:
    return type(db).__name__


def words(text: str) -> list[str]:
    """The words that must all be in a message."""
    return re.findall(r"\w+", fold(text))[:WORDS]


def fold(text: str) -> str:
    """The text without case and accents, because databases do not agree on which letters are the same."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def token(user: str) -> str:
    return "u" + sha256(user.encode()).hexdigest()[:30]


def make() -> None:
    """Makes the index if it is missing. Runs in the writer's thread."""
    db = Message._meta.database
    db.connect(reuse_if_open=True)
    mysql, sqlite = kind(db) == "Mysql", kind(db) == "Sqlite"
    if mysql and db.execute_sql(_exists).fetchone() or sqlite and "archive_text_index" in db.get_tables():
        return
    for sql in SQLITE if sqlite else MYSQL if mysql else POSTGRES:
        db.execute_sql(sql)


def prepare(user: str) -> None:
    """Adds to the index what the user's archive has got since the last time."""
    global _made
    store = xdb.store
    if store is not None and _made is not store:
        store.writer.call(make)  # outside of a transaction, because MySQL cannot do it inside
        _made = store
    while xdb.save(add, user):
        pass


def add(user: str) -> bool:
    """Adds one batch. Returns whether it was a full one. Runs in the writer."""
    newest = ArchiveText.select(ArchiveText.id).where(ArchiveText.owner == user)
    position = newest.order_by(ArchiveText.id.desc()).limit(1).scalar() or 0
    query = Message.select(Message.id, Message.xml).where(
        Message.owner == user, Message.id > position, Message.archived == 1
    )
    rows = list(query.order_by(Message.id).limit(BATCH).tuples().iterator())
    mine = token(user)
    found = []
    for id, xml in rows:
        text = fold(from_text(xml).text_of("body") or "")
        if text or id == rows[-1][0]:
            found.append({"id": id, "owner": user, "mine": mine, "text": text})
    for at in range(0, len(found), 100):
        ArchiveText.insert_many(found[at : at + 100]).execute()
    return len(rows) == BATCH


def find(user: str, wanted: list[str], above: int, below: int, backwards: bool, limit: int) -> list[int]:
    """The numbers of messages between ``above`` and ``below`` that have all the words, in order."""
    db = Message._meta.database
    order = f"ORDER BY 1 {'DESC' if backwards else 'ASC'} LIMIT {int(limit)}"
    if kind(db) == "Sqlite":
        match = f"mine : {token(user)} AND text : ({' '.join(_quoted(word) for word in wanted)})"
        sql = "SELECT rowid FROM archive_text_index WHERE archive_text_index MATCH ? AND rowid > ? AND rowid < ?"
        order = order.replace("BY 1", "BY rowid")
        rows = db.execute_sql(f"{sql} {order}", (match, above, below))
    elif kind(db) == "Mysql":
        long = [word for word in wanted if len(word) > 2]  # InnoDB's index has no shorter ones by default
        match = " ".join(f"+{_quoted(word)}" for word in long or wanted)
        sql = "SELECT id FROM archive_text WHERE owner = %s AND MATCH (text) AGAINST (%s IN BOOLEAN MODE)"
        rows = db.execute_sql(f"{sql} AND id > %s AND id < %s {order}", (user, match, above, below))
    else:
        sql = (
            "SELECT id FROM archive_text WHERE owner = %s"
            " AND to_tsvector('simple', text) @@ plainto_tsquery('simple', %s)"
        )
        rows = db.execute_sql(
            f"{sql} AND id > %s AND id < %s {order}", (user, " ".join(wanted), above, below)
        )
    return [row[0] for row in rows.fetchall()]


def _quoted(word: str) -> str:
    return f'"{word}"'  # words have no quotation marks
