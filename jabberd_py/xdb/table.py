"""Table: a peewee model whose rows belong to an owner, and the fields that mean the same on every database.

How long may a JID be? RFC 7622 allows 3,071 bytes; a MySQL index holds 3,072, and four for each character.
So: an *owner* (the bare JID of a local account) has at most OWNER_LENGTH characters: whoever creates
accounts must refuse longer ones. Other JIDs go into a `JidField`, which holds any; MySQL indexes their
first 500 characters, so that there a unique index over (owner, jid) takes two JIDs for one if they begin
with the same 500 characters: the second is refused. Comparison is by code points everywhere
(`utf8mb4_bin`; MySQL alone ignores spaces at the end); prepare JIDs before they come here."""

from typing import Any

from peewee import SQL, BigAutoField, CharField, Model, MySQLDatabase, SchemaManager, TextField

OWNER_LENGTH = 256
MYSQL_PREFIX = 500  # (256 + 500) characters * 4 bytes <= 3072
MYSQL_SETTINGS = ["ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"]


class JidField(TextField):
    """A bare or full JID of any lawful length."""

    field_type = "JID"


class Serial(BigAutoField):
    """A row's number: grows, and never comes twice (without AUTOINCREMENT, SQLite gives the last row's
    number again once that row is deleted; a mark "delivered up to here" would then hide the new row)."""

    def ddl(self, ctx: Any) -> Any:
        nodes = super().ddl(ctx)
        if ctx.state.field_types["BIGAUTO"] == "INTEGER":  # SQLite
            nodes.nodes.append(SQL("AUTOINCREMENT"))
        return nodes


class _Schema(SchemaManager):
    """MySQL cannot index a whole text; there, index its beginning."""

    def _create_table(self, safe: bool = True, **options: Any) -> Any:
        mysql = isinstance(self.database, MySQLDatabase)
        self.model._meta.table_settings = MYSQL_SETTINGS if mysql else None
        return super()._create_table(safe, **options)  # type: ignore[misc]

    def _create_index(self, index: Any, safe: bool = True) -> Any:
        if isinstance(self.database, MySQLDatabase):
            index = index.clone()
            index._expressions = [
                SQL(f"`{part.column_name}`({MYSQL_PREFIX})") if isinstance(part, TextField) else part
                for part in index._expressions
            ]
        return super()._create_index(index, safe)  # type: ignore[misc]


class Table(Model):
    """The base of every table whose rows belong to an owner. To delete, export or import an account means all rows with its
    ``owner``. ``derived``: the table is made from other tables when it is missing (an index, say); copies and backups leave it
    out. ``long``: an owner may have very many rows in it, or very long ones (`clearing`)."""

    derived = False
    long = False

    id = Serial()
    owner = CharField(max_length=OWNER_LENGTH, index=True)

    class Meta:
        schema_manager_class = _Schema
        legacy_table_names = False


class Document(Table):
    """One XML document of an owner: jabberd 1.x's xdb. `namespace` is a key made by `xdb.set`, at most 255
    characters."""

    owner = CharField(max_length=OWNER_LENGTH)
    namespace = CharField(max_length=255)
    xml = TextField()

    class Meta:
        indexes = ((("owner", "namespace"), True),)
