"""Numbered migrations. A new store gets all tables from their classes. An older store first runs the migrations that it lacks.

To change a table that was released: change its class, and append `(number, "what it does", function)` to
MIGRATIONS. The function gets the peewee database inside a transaction; it must bear that the table is not
there yet, when its module was never loaded (`db.table_exists`). New tables need no migration."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from peewee import CharField, FloatField, IntegerField, Model, MySQLDatabase

from ..xmpp.element import from_text
from .db import StoreError
from .numbers import when
from .table import MYSQL_PREFIX, _Schema


def first_tables(db: Any) -> None:
    """Nothing to change: the first version's tables are made from their classes."""


def resumable_streams_with_notes(db: Any) -> None:
    """They are made anew: clients of the old server log in once more."""
    if db.table_exists("resumable_stream"):
        db.execute_sql("DROP TABLE resumable_stream")


def one_outbox(db: Any) -> None:
    """The table of messages for other servers becomes that of everything that has still to leave."""
    if not db.table_exists("outbound"):
        return
    db.execute_sql("ALTER TABLE outbound RENAME TO outbox")
    for column in (
        "node SMALLINT NOT NULL DEFAULT 0",
        "way VARCHAR(20) NOT NULL DEFAULT 's2s'",
        "destination VARCHAR(1023) NOT NULL DEFAULT ''",
        "time DOUBLE PRECISION NOT NULL DEFAULT 0",
    ):
        db.execute_sql(f"ALTER TABLE outbox ADD COLUMN {column}")
    for id, xml in db.execute_sql("SELECT id, xml FROM outbox").fetchall():
        try:
            to = from_text(xml).to
        except ValueError:
            continue  # whoever reads the row finds that out, too
        values = [to.domain if to is not None else "", when(id), id]
        db.execute_sql(
            f"UPDATE outbox SET destination = {db.param}, time = {db.param} WHERE id = {db.param}", values
        )


def resumable_streams_of_a_node(db: Any) -> None:
    """Each says which process of a cluster has it."""
    if db.table_exists("resumable_stream"):
        db.execute_sql("ALTER TABLE resumable_stream ADD COLUMN node SMALLINT NOT NULL DEFAULT 0")


def messages_with_taken(db: Any) -> None:
    for table in ("message", "fresh"):
        if db.table_exists(table):
            db.execute_sql(f"ALTER TABLE {table} ADD COLUMN taken TEXT NOT NULL DEFAULT ''")


def nodes_with_options(db: Any) -> None:
    """Nodes know who made them and when their items expire, items when they came first, subscriptions have options."""
    for table, column in (
        ("pubsub_node", "creator TEXT"),
        ("pubsub_node", "expire INTEGER"),
        ("pubsub_item", "born BIGINT NOT NULL DEFAULT 0"),
        ("pubsub_subscription", "bare TEXT"),
        ("pubsub_subscription", "options TEXT"),
        ("pubsub_subscription", "expire DOUBLE PRECISION"),
    ):
        if db.table_exists(table):
            db.execute_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    for change in (
        "pubsub_node SET creator = ''",
        "pubsub_item SET born = id",  # what comes now has larger numbers
        "pubsub_subscription SET options = '{}', bare = jid",
    ):
        if db.table_exists(change.partition(" ")[0]):
            db.execute_sql(f"UPDATE {change}")
    if db.table_exists("pubsub_subscription"):
        full = db.execute_sql("SELECT id, jid FROM pubsub_subscription WHERE jid LIKE '%/%'").fetchall()
        for id, jid in full:
            query = f"UPDATE pubsub_subscription SET bare = {db.param} WHERE id = {db.param}"
            db.execute_sql(query, (jid.partition("/")[0], id))
    prefix = f"({MYSQL_PREFIX})" if isinstance(db, MySQLDatabase) else ""
    for table, name, columns in (
        ("pubsub_node", "expire", "expire"),
        ("pubsub_item", "owner_node_born", "owner, node, born"),
        ("pubsub_affiliation", "jid", f"jid{prefix}"),
        ("pubsub_subscription", "bare", f"bare{prefix}"),
        ("pubsub_subscription", "expire", "expire"),
    ):
        if db.table_exists(table):
            db.execute_sql(f"CREATE INDEX {table}_{name} ON {table} ({columns})")


def uploads_with_purposes(db: Any) -> None:
    """Files say what they are for, and until when they may be there."""
    if db.table_exists("upload"):
        db.execute_sql("ALTER TABLE upload ADD COLUMN purpose VARCHAR(20) NOT NULL DEFAULT 'message'")
        db.execute_sql("ALTER TABLE upload ADD COLUMN until BIGINT NOT NULL DEFAULT 0")


def subscriptions_by_subid(db: Any) -> None:
    if db.table_exists("pubsub_subscription"):
        db.execute_sql("CREATE INDEX pubsub_subscription_subid ON pubsub_subscription (subid)")


def capabilities_proven_again(db: Any) -> None:
    """What clients are said to be able to is asked once more: older versions took proofs that were none."""
    if db.table_exists("capability"):
        db.execute_sql("DELETE FROM capability")


Migration = tuple[int, str, Callable[[Any], None]]
INCOMPLETE = 1_000_000  # stands in schema_version while a copy into the store is under way
MIGRATIONS: list[Migration] = [
    (1, "first tables", first_tables),
    (2, "resumable streams with notes", resumable_streams_with_notes),
    (3, "one outbox", one_outbox),
    (4, "resumable streams of a node", resumable_streams_of_a_node),
    (5, "messages with the streams that took them", messages_with_taken),
    (6, "nodes with creators, subscriptions with options", nodes_with_options),
    (7, "uploads with purposes", uploads_with_purposes),
    (8, "subscriptions by subid", subscriptions_by_subid),
    (9, "capabilities are proven again", capabilities_proven_again),
]


class SchemaVersion(Model):
    number = IntegerField(primary_key=True)
    what = CharField()
    at = FloatField()  # Unix time

    class Meta:
        table_name = "schema_version"
        schema_manager_class = _Schema


def prepare(db: Any, tables: Sequence[type[Model]], migrations: Sequence[Migration]) -> list[str]:
    """Bring the database's tables up to date, and say which migrations that took; runs where the writer runs,
    before it."""
    db.connect(reuse_if_open=True)
    try:
        existing = set(db.get_tables())
        db.bind([SchemaVersion])
        if SchemaVersion._meta.table_name not in existing:
            with db.atomic():
                _create(db, [SchemaVersion, *tables], existing)
                for number, what, _ in migrations:
                    SchemaVersion.create(number=number, what=what, at=time.time())
            return [what for _, what, _ in migrations]
        ran = []
        done = {version.number for version in SchemaVersion.select()}
        newest = max((number for number, *_ in migrations), default=0)
        if INCOMPLETE in done:
            raise StoreError("a copy into this store was begun and never finished: make it again")
        if max(done, default=0) > newest:
            raise StoreError(
                f"the store has schema {max(done)}, this server knows {newest}: "
                "it was used by a newer version"
            )
        for number, what, function in sorted(migrations, key=lambda migration: migration[0]):
            if number not in done:
                with db.atomic():
                    function(db)
                    SchemaVersion.create(number=number, what=what, at=time.time())
                ran.append(what)
        with db.atomic():
            _create(db, tables, set(db.get_tables()))
        return ran
    finally:
        db.release()


def _create(db: Any, tables: Sequence[type[Model]], existing: set[str]) -> None:
    # Only what is missing: MySQL knows no CREATE INDEX IF NOT EXISTS.
    db.create_tables([table for table in tables if table._meta.table_name not in existing])
