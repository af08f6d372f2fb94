"""Changing the configuration of nodes. Functions with an underscore run in the writer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, NamedTuple

from peewee import chunked

from ..xdb import xdb
from . import store
from .config import Config
from .tables import PubsubNode

NODES = 20
"""Nodes that one transaction changes."""


class Change(NamedTuple):
    """What becomes of a node's configuration. All else of it stays as it is stored, whoever has changed it meanwhile.

    config  the new one, but for the collections that the node is in; None: as it is
    most    how many of the items stay; None: as many as before
    into    collections that it is in from now on
    out     collections that it is in no longer
    """

    config: Config | None = None
    most: int | None = None
    into: tuple[str, ...] = ()
    out: tuple[str, ...] = ()

    def made(self, old: Config) -> Config:
        """The configuration after the change."""
        parents = dict.fromkeys((*old.collection, *self.into))
        left = tuple(each for each in parents if each not in self.out)
        return replace(self.config or old, collection=left, children=())


def _configure(owner: str, changes: dict[str, Change]) -> dict[str, Config]:
    """The new configurations of those nodes that are still there."""
    n, done = PubsubNode, dict[str, Config]()
    query: Any = n.select(n.name, n.config).where(n.owner == owner, n.name.in_(list(changes)))
    for name, text in list(query.tuples()):
        change = changes[name]
        config = done[name] = change.made(Config.stored(json.loads(text)))
        new = {"config": store.config_text(config), "expire": config.item_expire}
        n.update(new).where(n.owner == owner, n.name == name).execute()
        if change.most is not None:
            store.trim(owner, name, change.most)
    return done


def configure(owner: str, changes: dict[str, Change]) -> bool:
    """Returns when all is committed: of many nodes some at a time, so that others can write, too; the first one changes
    last. False: that one is gone."""
    done = dict[str, Config]()
    for names in chunked(reversed(changes), NODES):
        piece = {name: changes[name] for name in names}
        done = xdb.save(_configure, owner, piece)
        nodes = store.known(owner)
        for name, config in done.items():
            node = nodes.get(name)
            if node is not None:
                nodes.unlink(node)
                node.config = config
                if piece[name].most is not None:
                    node.surplus = node.counted = None
                nodes.link(node)
    return not changes or next(iter(changes)) in done
