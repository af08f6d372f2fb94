"""Files by HTTP (XEP-0363)."""

import time
from urllib.parse import urlsplit

import gevent
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
    upload = {"max_size": 100_000, "quota": 1_000_000, "per_day": 220_000}
    services = {"upload": {**upload, "profile_max_size": 20_000, "profile_quota": 30_000}}
    process = ServerProcess({**databases(folder), **CONFIG, "services": services}, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def romeo(files, account, make_client):
    return make_client(account("romeo", Place(files, "localhost")))


class Slot:
    """A slot of somebody's. `put`, `get`: paths."""

    def __init__(
        self,
        files,
        who,
        name="tr%C3%A8s cool.jpg",
        size=5,
        type="image/jpeg",
        plain="très cool.jpg",
        inner="",
        service="upload.localhost",
    ):
        self.files = files
        answer = who.iq(
            "get",
            f"<request xmlns='{NS}' filename='{plain}' size='{size}' content-type='{type}'>{inner}</request>",
            to=service,
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
    ("bytes=0-", 206, b"hello", "bytes 0-4/5"),  # players that want to know whether they can seek
    ("bytes=-99", 206, b"hello", "bytes 0-4/5"),
    ("bytes=-0", 416, None, "bytes */5"),
    ("bytes=-", 200, b"hello", None),
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
    assert headers["content-type"] == "application/octet-stream"  # else it would be a script of our own pages
    for part in ("script", "style", "worker", "iframe"):
        assert slot.download(Sec_Fetch_Dest=part).status == 403
    assert slot.download(Sec_Fetch_Dest="document").status == 200


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
    ("filename='a&#x2028;b' size='1'", "bad-request"),
    ("filename='..' size='1'", "bad-request"),
])  # fmt: skip
def test_slots_that_nobody_gets(romeo, attrs, condition):
    answer = show(romeo.iq("get", f"<request xmlns='{NS}' {attrs}/>", to="upload.localhost"))
    assert condition in answer
    assert ("file-too-large" in answer and "100000" in answer) == (condition == "not-acceptable")


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot at 9.41.00\u202fAM.png",
        "\U0001f468\u200d\U0001f469.png",
        "100%.png",
        "100%41.png",
        "a&#39;b?c#d.png",
    ],
)
def test_names_of_files(files, romeo, name):
    """Macs write a narrow space into the names of screenshots; a family is three characters."""
    slot = Slot(files, romeo, plain=name)
    assert slot.upload().status == 201 and slot.download().body == b"hello"


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


# -- purposes (XEP-0363 section "Upload purpose") ----------------------------------------------------------

PURPOSE = "urn:xmpp:http:upload:purpose:0"


def wish(files, who, purpose, size=5, attrs=""):
    """A slot for that purpose."""
    return Slot(files, who, size=size, inner=f"<{purpose} xmlns='{PURPOSE}'{attrs}/>")


def test_the_purposes_are_found(romeo):
    info = show(
        romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to="upload.localhost")
    )
    for each in ("message", "ephemeral", "profile"):
        assert f"'{PURPOSE}#{each}'" in info
    assert "#permanent" not in info  # nobody has room for that here


def test_a_file_for_a_message(files, romeo):
    slot = wish(files, romeo, "message")
    assert slot.upload().status == 201 and slot.download().body == b"hello"


def test_a_picture_for_a_profile(files, romeo):
    """Small, and with room of its own."""
    answer = show(wish(files, romeo, "profile", size=20_017).answer)
    assert "not-acceptable" in answer and "20000" in answer
    slot = wish(files, romeo, "profile", size=20_000)
    assert slot.upload(20_000 * b"x").status == 201
    assert wish(files, romeo, "profile", size=10_000).answer.get("type") == "result"
    assert "resource-constraint" in show(wish(files, romeo, "profile").answer)
    assert wish(files, romeo, "message").answer.get("type") == "result"


@pytest.mark.parametrize("attrs", ["", " expire-before='soon'", " expire-before='2020-01-01T00:00:00Z'"])
def test_an_ephemeral_file_without_an_end(files, romeo, attrs):
    assert "bad-request" in show(wish(files, romeo, "ephemeral", attrs=attrs).answer)


def test_a_purpose_that_there_is_not(files, romeo):
    for each in ("permanent", "ransom"):
        assert "feature-not-implemented" in show(wish(files, romeo, each).answer)


def test_an_ephemeral_file_ends_in_time(files, romeo):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    slot = wish(files, romeo, "ephemeral", attrs=f" expire-before='{stamp}'")
    assert slot.upload().status == 201
    kept = slot.download().headers["cache-control"]
    assert 0 < int(kept.partition("max-age=")[2].partition(",")[0]) <= 600  # by others, too

    end = int(time.time() + 3)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    slot = wish(files, romeo, "ephemeral", attrs=f" expire-before='{stamp}'")
    assert slot.upload().status == 201
    with gevent.Timeout(20):
        while slot.download().status != 404:
            gevent.sleep(0.2)
    assert time.time() >= end


def test_a_body_that_does_not_come(web_server, anybody, make_client):
    """The time is for each 64 KiB; then the slot is as good as new."""
    slot = Slot(web_server, make_client(anybody("slow")), size=100)
    one = Web(web_server, "https")
    one.raw(f"PUT {slot.put.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhello".encode())
    assert one.answer().status == 408 and one.ended()
    assert slot.upload(100 * b"x").status == 201


def test_a_client_that_asks_before_it_sends(files, romeo):
    """Expect: 100-continue, as curl does with a large file: what is refused is not sent at all."""
    slot = Slot(files, romeo)
    one = Web(files, "https")
    head = f"PUT {slot.put.path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
    one.raw(f"{head}6\r\n\r\n".encode())
    assert one.answer().status == 413
    one = Web(files, "https")
    one.raw(f"{head}5\r\n\r\n".encode())
    assert one.head()[0] == 100
    assert one.raw(b"hello").answer().status == 201


@pytest.mark.parametrize(
    ("method", "path", "status"), [("PUT", "", 411), ("GET", "x", 404), ("POST", "", 405)]
)
def test_a_script_of_another_site_sees_why(files, romeo, method, path, status):
    """Without the header of CORS a browser tells the script nothing but that it failed."""
    slot = Slot(files, romeo)
    one = Web(files, "https")
    said = "Transfer-Encoding: chunked\r\n" if status == 411 else ""
    one.raw(
        f"{method} {slot.put.path}{path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://x.example\r\n{said}\r\n".encode()
    )
    answer = one.answer()
    assert answer.status == status and answer.headers["access-control-allow-origin"] == "*"
