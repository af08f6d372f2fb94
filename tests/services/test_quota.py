"""How many files an account may have, whatever is under way."""

import time

import gevent
import pytest

from jabberd_py.jsm.host import Host, HostOptions
from jabberd_py.jsm.users import Account, forget
from jabberd_py.router import Router
from jabberd_py.services.upload import NS, Upload, Uploads
from jabberd_py.xdb import xdb
from jabberd_py.xmpp.element import Element
from jabberd_py.xmpp.errors import StanzaError
from jabberd_py.xmpp.jid import parse
from tests.databases import mariadb, postgres  # noqa: F401


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def uploads(request, tmp_path):
    url = "sqlite:///store.db" if request.param == "sqlite" else request.getfixturevalue(request.param).url
    opened = xdb.open(url, [Account, Upload], str(tmp_path))
    xdb.save(lambda: Account.create(owner="romeo@example.org", keys="", created=0, disabled=False))
    forget("romeo@example.org")
    router = Router()
    router.base = lambda host: f"https://{host}"
    host = Host(router, "example.org", HostOptions())
    yield Uploads(router, host, "upload.example.org", {"max_size": 100, "quota": 1000, "per_day": 500})
    for table in (Account, Upload):
        xdb.save(table.delete().execute)
    opened.close()


def granted(uploads, size=100):
    wish = Element("request", NS, filename="film", size=str(size))
    stanza = Element("iq", "jabber:client", wish, type="get", id="a")
    stanza.attrs["from"] = "romeo@example.org/x"
    try:
        with xdb.unit():
            return uploads.request(stanza) is not None
    except StanzaError as error:
        return error.condition != "resource-constraint"


def test_a_file_that_comes_slowly_counts_all_the_time(uploads):
    assert all(granted(uploads) for _ in range(5)) and not granted(uploads)
    xdb.save(Upload.update(made=int(time.time()) - 3600).execute)  # all slots are too old to begin
    uploads.running = {row.key: row.owner for row in Upload.select()}
    assert not granted(uploads)
    uploads.running.popitem()
    assert granted(uploads) and not granted(uploads)


def test_slots_that_are_wanted_at_the_same_time(uploads):
    wishes = [gevent.spawn(granted, uploads) for _ in range(20)]
    gevent.joinall(wishes)
    assert sum(each.value for each in wishes) == 5


def test_one_account_has_a_quota_of_its_own(uploads):
    romeo = parse("romeo@example.org")
    uploads.set_quota(romeo, 200)
    assert granted(uploads) and granted(uploads) and not granted(uploads)
    assert uploads.usage(romeo)["quota_bytes"] == 200
    assert uploads.set_quota(romeo, 300) == {"quota_bytes": 300}
    assert granted(uploads) and not granted(uploads)
    assert uploads.set_quota(romeo) == {"quota_bytes": 1000}
    assert granted(uploads)
    with pytest.raises(StanzaError):
        uploads.set_quota(parse("nobody@example.org"), 300)
