"""Files of users in an S3-compatible store."""

import re
import socket

import pytest

from jabberd_py.net import webclient
from jabberd_py.services import s3
from jabberd_py.services.files import Trouble
from tests.conftest import CONFIG, Place
from tests.http.s3 import BUCKET, Store
from tests.http.test_upload import Slot
from tests.http.web import Web
from tests.server import ServerProcess


@pytest.fixture(scope="module")
def store():
    made = Store()
    yield made
    made.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory, databases, store):
    folder = tmp_path_factory.mktemp("s3")
    services = {"upload": {"s3": store.setting}}
    hosts = {
        "localhost": {"retention": "2h"},
        "other.localhost": {"services": {"upload": {"s3": None, "expire": "3h"}}},
    }
    process = ServerProcess({**databases(folder), **CONFIG, "hosts": hosts, "services": services}, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def romeo(files, account, make_client):
    return make_client(account("romeo", Place(files, "localhost")))


def key_of(slot):
    return slot.put.path.split("/")[2]


def test_a_file_lies_in_the_bucket(files, store, romeo):
    data = bytes(range(256)) * 4000  # many pieces
    slot = Slot(files, romeo, size=len(data))
    assert slot.download().status == 404  # not yet
    assert slot.upload(data).status == 201 and store.objects[key_of(slot)] == data
    assert not list(files.data.glob("uploads/*/*"))
    answer = slot.download()
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers["x-content-type-options"] == "nosniff" and "x-amz-date" not in answer.headers
    part = slot.download(Range="bytes=300000-300009")
    assert (part.status, part.body) == (206, data[300_000:300_010])
    assert slot.download("HEAD").headers["content-length"] == str(len(data))
    assert slot.upload(data).status == 403  # once
    del store.objects[key_of(slot)]  # somebody has tidied up there
    assert slot.download().status == 404


@pytest.mark.parametrize(("status", "said", "told"), [
    ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>", 502),
    ("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>", 502),
    ("507 Insufficient Storage", b"", 507),
    ("403 Forbidden", b"<Error><Code>QuotaExceeded</Code></Error>", 507),
])  # fmt: skip
def test_the_store_takes_nothing(files, store, romeo, status, said, told):
    """The slot is as good as new, and nobody sees what the store says."""
    slot = Slot(files, romeo)
    store.answers.append((status, [], said))
    answer = slot.upload()
    assert answer.status == told and b"Code" not in answer.body
    assert slot.upload().status == 201
    store.answers.append((status, [], said))
    assert slot.download().status == told
    assert slot.download().body == b"hello"


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_a_redirection_leads_nowhere(files, store, romeo, status):
    slot = Slot(files, romeo)
    for ask in (slot.upload, slot.download):
        store.asked.clear()
        store.answers.append((status, [("Location", f"{store.url}/elsewhere")], b""))
        assert ask().status == 502 and len(store.asked) == 1
        assert slot.upload().status in (201, 403)


def test_a_client_that_breaks_off_leaves_nothing(files, store, romeo):
    slot = Slot(files, romeo, size=900_000)
    web = Web(files, "https")
    head = f"PUT {slot.put.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n".encode()
    web.raw(head + 500_000 * b"x")
    web.close()
    for _ in range(100):
        if slot.upload(900_000 * b"y").status == 201:
            break
    assert store.objects[key_of(slot)] == 900_000 * b"y"


def test_files_go_with_the_account(files, store, account, make_client):
    """What the store does not let go at once nobody gets any more, and it goes later."""
    users = [account(name, Place(files, "localhost")) for name in ("paris", "tybalt")]
    slots = [Slot(files, make_client(user)) for user in users]
    for slot in slots:
        assert slot.upload().status == 201
    store.answers.append(("503 Slow Down", [], b""))
    files.ctl("accounts", "delete", users[0].bare)
    assert slots[0].download().status == 404 and slots[0].upload().status == 404
    assert key_of(slots[0]) in store.objects
    files.ctl("accounts", "delete", users[1].bare)
    assert not {key_of(slot) for slot in slots} & store.objects.keys()


def test_a_host_of_its_own_ways(files, store, account, make_client):
    """It has no bucket, and says itself how long files stay; whatever service is asked finds what is where."""
    ages = {}
    for domain in ("localhost", "other.localhost"):
        slot = Slot(files, make_client(account("nurse", Place(files, domain))), service=f"upload.{domain}")
        assert slot.upload().status == 201 and (key_of(slot) in store.objects) == (domain == "localhost")
        answer = slot.download()
        assert answer.body == b"hello"
        ages[domain] = int(answer.headers["cache-control"].partition("max-age=")[2].partition(",")[0])
    assert 3600 < ages["localhost"] <= 7200 < ages["other.localhost"] <= 10_800


# -- the protocol ------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_documentation():
    """ "Example: GET Object" of AWS' page "Signature Calculations for the Authorization Header"."""
    place = s3.S3(
        "https://examplebucket.s3.amazonaws.com",
        "",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    said = s3.signed(place, "GET", "/test.txt", {"range": "bytes=0-9"}, 1369353600, nothing)
    assert said["x-amz-date"] == "20130524T000000Z"
    assert said["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_a_wrong_secret(store):
    with pytest.raises(Trouble, match="status 403 SignatureDoesNotMatch"):
        s3.Bucket(s3.s3(store.setting | {"secret": "wrong"})).put("k", 1, iter([b"x"]))


def test_a_store_that_says_nothing(monkeypatch):
    monkeypatch.setattr(s3, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        setting = {
            "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "bucket": "files",
            "key": "k",
            "secret": "s",
        }
        bucket = s3.Bucket(s3.s3(setting | {"private": True}))
        for ask in (
            lambda: bucket.put("k", 1, [b"x"]),
            lambda: bucket.open("k", 0, 1),
            lambda: bucket.remove("k"),
        ):
            with pytest.raises(Trouble) as failed:
                ask()
            assert failed.value.status == 502


def test_an_endpoint_in_our_own_network_is_refused():
    bucket = s3.Bucket(
        s3.s3({"endpoint": "https://localhost:1", "bucket": BUCKET, "key": "k", "secret": "s"})
    )
    with pytest.raises(Trouble, match="own network"):
        bucket.open("k", 0, 1)
    with pytest.raises(webclient.Refused):
        webclient.connect("https://169.254.169.254/", 1, False)


@pytest.mark.parametrize(("change", "said"), [
    ({"endpoint": None}, "lacks 'endpoint'"),
    ({"secret": ""}, "lacks 'secret'"),
    ({"endpoint": "http://s3.example"}, "endpoint must be https, unless private is yes"),
    ({"endpoint": "ftp://s3.example"}, "endpoint must be https://NAME/PATH, not 'ftp://s3.example'"),
    ({"endpoint": "https://me:you@s3.example"}, "endpoint must be https://NAME/PATH"),
    ({"endpoint": "https://s3.example/?a"}, "endpoint has no query"),
    ({"bucket": "../etc"}, "bucket is no name of a bucket: '../etc'"),
    ({"buckte": "files"}, "has no 'buckte' (did you mean 'bucket'?)"),
    ({"key": "a b"}, "key must be of plain characters"),
    ({"region": "a\nb"}, "region must be of plain characters"),
    ({"private": "sometimes"}, "private must be yes or no, not 'sometimes'"),
])  # fmt: skip
def test_mistakes(change, said):
    right = {"endpoint": "https://s3.example", "bucket": "files", "key": "k", "secret": "s"}
    assert s3.s3(right) == s3.s3(s3.s3(right))
    with pytest.raises(ValueError, match=re.escape(said)):
        s3.s3(right | change)
    with pytest.raises(ValueError, match="must be such as"):
        s3.s3("https://s3.example")
