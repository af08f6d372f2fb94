"""XEP-0431: the full-text index of an archive. It is the database's own kind of index.

The index is made when somebody searches for the first time. It has only the messages of users who search: each search first
adds what has come since the last one. So the index costs nothing on the path of a message.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import Any
from xml.parsers import expat

from peewee import BigIntegerField, CharField, TextField

from ..net.turns import fairly, pause
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.ns import CLIENT
from .messages import Message

CHUNK = 25
"""Messages that are in memory at a time."""
BATCH, SIZE = 100, 256 * 1024
"""Messages whose texts, and characters that, the writer gets at a time."""
PIECE = 8 * 1024
WORDS = 20
TOMBSTONE = "<retracted xmlns='urn:xmpp:message-retract:1'"


class ArchiveText(Table):
    """The text of the archived message with the same number. It is empty for a message without text. ``mine``: one word that
    stands for the owner, by which SQLite's index tells users apart."""

    derived = True
    long = True
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
    """Adds to the index what the user's archive has got since the last time. Blocks; others have their turns: messages are read
    and taken apart here, and the writer gets their texts."""
    global _made
    store = xdb.store
    if store is not None and _made is not store:
        store.writer.call(make)  # outside of a transaction, because MySQL cannot do it inside
        _made = store
    newest = ArchiveText.select(ArchiveText.id).where(ArchiveText.owner == user)
    position = newest.order_by(ArchiveText.id.desc()).limit(1).scalar() or 0
    mine = Message.owner == user, Message.archived == 1
    found: list[tuple[int, str]] = []
    while True:
        rows = Message.select(Message.id, Message.xml).where(*mine, Message.id > position)
        some = list(rows.order_by(Message.id).limit(CHUNK).tuples().iterator())
        for position, xml in some:
            found.append((position, fold(body(xml))))
        if found and (len(some) < CHUNK or len(found) >= BATCH or sum(len(text) for _, text in found) > SIZE):
            xdb.save(_add, user, found)
            found = []
        if len(some) < CHUNK:
            return
        pause()


def _add(user: str, texts: list[tuple[int, str]]) -> None:
    """In the writer. Leaves out what was retracted, removed or added meanwhile."""
    numbers = [id for id, _ in texts]
    rows = Message.select(Message.id).where(
        Message.id.in_(numbers),
        Message.owner == user,
        Message.archived == 1,
        ~Message.xml.contains(TOMBSTONE),
    )
    there = {id for (id,) in rows.tuples().iterator()}
    known = ArchiveText.select(ArchiveText.id).where(ArchiveText.id.in_(numbers))
    there -= {id for (id,) in known.tuples().iterator()}
    mine, last = token(user), numbers[-1]
    found = [
        {"id": id, "owner": user, "mine": mine, "text": text}
        for id, text in texts
        if id in there and (text or id == last)  # the last one shows how far the index goes
    ]
    if found:
        ArchiveText.insert_many(found).execute()


def body(xml: str) -> str:
    """The text of the message's <body/>. No tree is built of what is beside it, and of a large message others have their turns
    between two pieces."""
    if "<body" not in xml:
        return ""
    parser, depth, found = expat.ParserCreate(), 0, list[str]()
    inside = False

    def start(name: str, attrs: dict[str, str]) -> None:
        nonlocal depth, inside
        depth += 1
        if depth == 2 and name == "body" and attrs.get("xmlns", CLIENT) == CLIENT and not found:
            inside = True

    def end(name: str) -> None:
        nonlocal depth, inside
        depth -= 1
        inside = inside and depth >= 2

    def text(data: str) -> None:
        if inside and depth == 2:
            found.append(data)

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.buffer_text = True
    try:
        for at in fairly(range(0, len(xml), PIECE)):
            parser.Parse(xml[at : at + PIECE])
    except expat.ExpatError:  # damaged; the readers of the archive leave it out
        return ""
    return "".join(found)


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
