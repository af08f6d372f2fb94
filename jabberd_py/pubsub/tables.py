"""The tables of publish-subscribe; ``owner`` is the account's bare address or the service's domain."""

from __future__ import annotations

from peewee import BigIntegerField, CharField, FloatField, IntegerField, TextField

from ..xdb import OWNER_LENGTH, JidField, Table

NAME_LENGTH = 500
"""Characters of a node's name, and of an item's id."""


class PubsubNode(Table):
    """``config``: JSON, what differs from `Config()`. ``creator``: who made it, a bare address. ``expire``: seconds after which
    its items go, None: they stay."""

    owner = CharField(max_length=OWNER_LENGTH)
    name = CharField(max_length=NAME_LENGTH)
    config = TextField()
    created = FloatField()
    creator = JidField(default="")
    expire = IntegerField(null=True, index=True)

    class Meta:
        indexes = ((("owner", "name"), True),)


class PubsubItem(Table):
    """``id``: the row number (`xdb.numbers`). It grows with every publish: it is the order of the items. ``born``: the number
    at the first publish of the item: it is their order by creation (XEP-0413). ``key``: a hash of node and item id, which are
    long for an index. ``payload``: one whole element, which says its namespace, or nothing."""

    long = True
    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    key = CharField(max_length=64)
    node = CharField(max_length=NAME_LENGTH)
    item = CharField(max_length=NAME_LENGTH)
    publisher = JidField()
    published = FloatField()
    born = BigIntegerField(default=0)
    payload = TextField()

    class Meta:
        indexes = (
            (("owner", "key"), True),
            (("owner", "node", "id"), True),
            (("owner", "node", "born"), False),
        )


class PubsubAffiliation(Table):
    """``jid`` is bare. Who has none has no row."""

    owner = CharField(max_length=OWNER_LENGTH)
    node = CharField(max_length=NAME_LENGTH)
    jid = JidField(index=True)
    affiliation = CharField(max_length=12)

    class Meta:
        indexes = ((("owner", "node"), False),)


class PubsubSubscription(Table):
    """``jid``: bare or full, to where notifications go; ``bare``: the bare one. ``subid`` is unique. ``state``: subscribed, or
    pending. ``options``: JSON, what differs from `Options()`. ``expire``: the Unix time at which it is over, or None."""

    long = True
    owner = CharField(max_length=OWNER_LENGTH)
    node = CharField(max_length=NAME_LENGTH)
    jid = JidField()
    bare = JidField(index=True)
    state = CharField(max_length=12)
    subid = CharField(max_length=32, index=True)
    options = TextField()
    expire = FloatField(null=True, index=True)
    made = BigIntegerField()

    class Meta:
        indexes = ((("owner", "node"), False),)


TABLES = (PubsubNode, PubsubItem, PubsubAffiliation, PubsubSubscription)
