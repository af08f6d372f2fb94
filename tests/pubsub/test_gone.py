"""An account that is deleted while something is stored for it leaves nothing for who registers the name next."""

import pytest

from jabberd_py.jsm.users import Account
from jabberd_py.pubsub.members import GroupMember, enrol
from jabberd_py.xdb import xdb

ROMEO = "romeo@localhost"


@pytest.fixture
def store(tmp_path):
    store = xdb.open("sqlite:///test.sqlite", [Account, GroupMember], str(tmp_path))
    yield store
    store.close()


def test_no_place_in_a_group(store):
    assert not xdb.save(enrol, ROMEO, "localhost", "Team", {"added": True})
    assert GroupMember.select().count() == 0
    xdb.save(lambda: Account.insert(owner=ROMEO, keys="{}", created=0.0).execute())
    assert xdb.save(enrol, ROMEO, "localhost", "Team", {"added": True})
    assert GroupMember.select().count() == 1
