"""Files by HTTP (XEP-0363)."""

from urllib.parse import urlsplit

import pytest

from tests.client import Client
from tests.conftest import CONFIG, Place
from tests.http.web import Web
from tests.match import show
from tests.server import ServerProcess

NS = "urn:xmpp:http:upload:0"


@pytest.fixture(scope="module")
def files(tmp_path_factory, databases):
    """A server of files, with little room."""
    folder = tmp_path_factory.mktemp("files")
    services = {"upload": {"max_size": 100_000, "quota": 1_000_000, "per_day": 220_000}}
    process = ServerProcess({**databases(folder), **CONFIG, "services": services}, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def romeo(files, account, make_client):
    return make_client(account("romeo", Place(files, "localhost")))


class Slot:
    """A slot of somebody's. `put`, `get`: paths."""

    def __init__(
        self, files, who, name="tr%C3%A8s cool.jpg", size=5, type="image/jpeg", plain="très cool.jpg"
    ):
        self.files = files
        answer = who.iq(
            "get",
            f"<request xmlns='{NS}' filename='{plain}' size='{size}' content-type='{type}'/>",
            to="upload.localhost",
        )
        self.answer = answer
        slot = answer.find(f"{{{NS}}}slot")
        if slot is not None:
            self.put, self.get = (
                urlsplit(slot.find(f"{{{NS}}}{each}").get("url")) for each in ("put", "get")
            )

    def upload(self, data=b"hello", **headers):
        return Web(self.files, "https").request("PUT", self.put.path, data, **headers)

    def download(self, method="GET", **headers):
        return Web(self.files, "https").request(method, self.get.path, **headers)


def test_discovery(romeo):
    items = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to="localhost")
    assert "upload.localhost" in show(items)
    info = show(
        romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to="upload.localhost")
    )
    assert "category='store'" in info and NS in info and "max-file-size" in info and "100000" in info


def test_a_file_goes_and_comes_back(files, romeo):
    slot = Slot(files, romeo)
    assert slot.put.netloc == f"localhost:{files.address('https')[1]}" and slot.put.path.endswith(
        "/tr%C3%A8s%20cool.jpg"
    )
    assert slot.download().status == 404  # not yet
    assert slot.upload(Content_Type="image/jpeg").status == 201
    answer = slot.download()
    assert (answer.status, answer.body) == (200, b"hello")
    headers = answer.headers
    assert headers["content-type"] == "image/jpeg" and headers["content-disposition"].startswith("inline")
    assert headers["x-content-type-options"] == "nosniff" and "sandbox" in headers["content-security-policy"]
    assert headers["access-control-allow-origin"] == "*" and headers["accept-ranges"] == "bytes"
    assert slot.download("HEAD").headers["content-length"] == "5"
    assert slot.download(If_None_Match=headers["etag"]).status == 304
    assert slot.upload().status == 403  # once


@pytest.mark.parametrize(("asked", "status", "got", "said"), [
    ("bytes=0-0", 206, b"h", "bytes 0-0/5"),
    ("bytes=1-", 206, b"ello", "bytes 1-4/5"),
    ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
    ("bytes=2-99999", 206, b"llo", "bytes 2-4/5"),
    ("bytes=5-", 416, None, "bytes */5"),
    ("bytes=3-1", 416, None, "bytes */5"),
    ("bytes=0-1,3-4", 200, b"hello", None),
    ("lines=1", 200, b"hello", None),
])  # fmt: skip
def test_parts_of_a_file(files, one_file, asked, status, got, said):
    answer = one_file.download(Range=asked)
    assert answer.status == status and got in (None, answer.body)
    assert answer.headers.get("content-range") == said


@pytest.fixture(scope="module")
def one_file(files):
    client = (
        Client(files.address(), "localhost").connect().register("julia", "secret").login("julia", "secret")
    )
    slot = Slot(files, client)
    assert slot.upload().status == 201
    client.close()
    return slot


@pytest.mark.parametrize(
    "type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "nonsense", ""]
)
def test_what_is_active_is_saved_and_not_shown(files, romeo, type):
    slot = Slot(files, romeo, type=type, plain="a.html")
    assert slot.upload().status == 201
    headers = slot.download().headers
    assert (
        headers["content-disposition"].startswith("attachment")
        and "sandbox" in headers["content-security-policy"]
    )


def test_wrong_uploads(files, romeo):
    slot = Slot(files, romeo, size=5)
    assert slot.upload(b"too long").status == 413
    assert slot.upload(b"x").status == 400
    assert slot.upload(Content_Type="text/html").status == 415
    web = Web(files, "https")
    web.raw(f"PUT {slot.put.path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    assert web.answer().status == 411
    path = slot.put.path
    for wrong in (path + "x", path.rpartition("/")[0], path.replace("/upload/", "/upload/x"), "/upload/../../etc/passwd",
                  "/upload/%2e%2e/%2e%2e/etc/passwd", "/upload", "/upload/"):  # fmt: skip
        assert Web(files, "https").request("PUT", wrong, b"hello").status == 404
        assert Web(files, "https").get(wrong).status == 404
    assert slot.upload().status == 201  # it is still good


def test_an_upload_that_breaks_off(files, romeo):
    slot = Slot(files, romeo, size=90_000)
    web = Web(files, "https")
    web.raw(
        f"PUT {slot.put.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n".encode()
        + 50_000 * b"x"
    )
    web.close()
    for _ in range(100):
        if slot.upload(90_000 * b"y").status == 201:
            break
    assert slot.download().body == 90_000 * b"y"
    assert not list(files.data.glob("uploads/*/*.part"))


@pytest.mark.parametrize(("attrs", "condition"), [
    ("filename='a' size='100017'", "not-acceptable"),
    ("filename='a' size='0'", "bad-request"),
    ("filename='a' size='-1'", "bad-request"),
    ("filename='a'", "bad-request"),
    ("size='1'", "bad-request"),
    ("filename='../a' size='1'", "bad-request"),
    ("filename='a&#10;b' size='1'", "bad-request"),
])  # fmt: skip
def test_slots_that_nobody_gets(romeo, attrs, condition):
    answer = show(romeo.iq("get", f"<request xmlns='{NS}' {attrs}/>", to="upload.localhost"))
    assert condition in answer
    assert ("file-too-large" in answer and "100000" in answer) == (condition == "not-acceptable")


def test_encryption_adds_sixteen_bytes(files, romeo):
    assert Slot(files, romeo, size=100_016).answer.get("type") == "result"


def test_a_user_of_another_host(files, account, make_client):
    stranger = make_client(account("tybalt", Place(files, "other.localhost")))
    assert "forbidden" in show(Slot(files, stranger).answer)
    assert Slot(files, stranger).answer.get("type") == "error"


def test_so_much_a_day(files, romeo):
    for _ in range(2):
        assert Slot(files, romeo, size=100_000).answer.get("type") == "result"
    answer = show(Slot(files, romeo, size=100_000).answer)
    assert "resource-constraint" in answer and "retry" in answer


def test_files_go_with_the_account(files, romeo):
    slot = Slot(files, romeo)
    assert slot.upload().status == 201
    key = slot.put.path.split("/")[2]
    assert list(files.data.glob(f"uploads/*/{key}"))
    files.ctl("accounts", "delete", romeo.bare)
    assert slot.download().status == 404
    assert not list(files.data.glob(f"uploads/*/{key}"))
