"""Tokens in the store, without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jabberd_py.admin.tokens import Token, Tokens
from jabberd_py.commands import Caller
from jabberd_py.instance import Instance
from jabberd_py.jsm.users import Account
from jabberd_py.router import Router
from jabberd_py.xdb import xdb
from jabberd_py.xmpp.errors import StanzaError
from jabberd_py.xmpp.jid import parse

ROMEO = "romeo@localhost"


class Stale:
    """Accounts as they were a moment ago."""

    @staticmethod
    def exists(user: str) -> bool:
        return True


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    store: Any = xdb.open("sqlite:///test.sqlite", [Account, Token], str(tmp_path))
    host: Any = Instance(Router(), "localhost")
    host.users = Stale()
    yield Tokens(host)
    store.close()


def test_an_account_that_is_deleted_meanwhile_leaves_no_token(tokens: Tokens) -> None:
    """Who registers the name next would have a token of somebody else."""
    caller = Caller(ROMEO, "ad-hoc", jid=parse(ROMEO))
    with pytest.raises(StanzaError, match="no such account"):
        tokens.add(parse(ROMEO), caller, "*")
    assert tokens.show() == []
    xdb.save(lambda: Account.insert(owner=ROMEO, keys="{}", created=0.0).execute())
    made = tokens.add(parse(ROMEO), caller, "*")
    assert [row["id"] for row in tokens.show(parse(ROMEO))] == [made["id"]]
