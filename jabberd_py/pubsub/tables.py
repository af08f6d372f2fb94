"""The tables of publish-subscribe; ``owner`` is the account's bare address or the service's domain."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, FloatField, TextField

from ..xdb import OWNER_LENGTH, JidField, Table

NAME_LENGTH = 500
"""Characters of a node's name, and of an item's id."""


class PubsubNode(Table):
    """``config``: JSON, what differs from `Config()`."""

    owner = CharField(max_length=OWNER_LENGTH)
    name = CharField(max_length=NAME_LENGTH)
    config = TextField()
    created = FloatField()

    class Meta:
        indexes = ((("owner", "name"), True),)


class PubsubItem(Table):
    """``key``: a hash of node and item id, which are long for an index. ``payload``: one whole element, which says its
    namespace, or nothing. The row's number grows with every publish: it is the order of the items."""

    owner = CharField(max_length=OWNER_LENGTH)
    key = CharField(max_length=64)
    node = CharField(max_length=NAME_LENGTH)
    item = CharField(max_length=NAME_LENGTH)
    publisher = JidField()
    published = FloatField()
    payload = TextField()

    class Meta:
        indexes = ((("owner", "key"), True), (("owner", "node", "id"), True))


class PubsubAffiliation(Table):
    """``jid`` is bare. Who has none has no row."""

    owner = CharField(max_length=OWNER_LENGTH)
    node = CharField(max_length=NAME_LENGTH)
    jid = JidField()
    affiliation = CharField(max_length=12)

    class Meta:
        indexes = ((("owner", "node"), False),)


class PubsubSubscription(Table):
    """``jid``: bare or full, to where notifications go. ``state``: subscribed, or pending."""

    owner = CharField(max_length=OWNER_LENGTH)
    node = CharField(max_length=NAME_LENGTH)
    jid = JidField()
    state = CharField(max_length=12)
    subid = CharField(max_length=32)
    made = BigIntegerField()

    class Meta:
        indexes = ((("owner", "node"), False),)


TABLES = (PubsubNode, PubsubItem, PubsubAffiliation, PubsubSubscription)
