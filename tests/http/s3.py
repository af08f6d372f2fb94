"""A store that speaks as much of S3 as we do, and believes nobody without a signature."""

import hashlib
import hmac
import re
from typing import Any

from gevent.pywsgi import WSGIServer

KEY, SECRET, REGION, BUCKET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-test-1", "files"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
).fullmatch


def mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Store:
    """``objects``: key -> bytes. ``answers``: what the next requests get instead, each (status, headers, body)."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.answers: list[tuple[str, list[tuple[str, str]], bytes]] = []
        self.asked: list[str] = []
        self.server = WSGIServer(("127.0.0.1", 0), self.answer, log=None, error_log=None)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.setting = {
            "endpoint": self.url, "bucket": BUCKET, "key": KEY, "secret": SECRET, "region": REGION, "private": True,
        }  # fmt: skip

    def close(self) -> None:
        self.server.stop()

    def answer(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append(f"{method} {path}")
        if self.answers:
            status, headers, body = self.answers.pop(0)
        else:
            status, headers, body = self.take(environ, method, path)
        start(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def take(
        self, environ: dict[str, Any], method: str, path: str
    ) -> tuple[str, list[tuple[str, str]], bytes]:
        bucket, _, key = path.removeprefix("/").partition("/")
        if not self.genuine(environ, method, path):
            return "403 Forbidden", [], b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        if bucket != BUCKET or (method != "PUT" and key not in self.objects):
            return "404 Not Found", [], b"<Error><Code>NoSuchKey</Code></Error>"
        if method == "PUT":
            data = environ["wsgi.input"].read()
            if len(data) < int(environ["CONTENT_LENGTH"]):
                return "400 Bad Request", [], b"<Error><Code>IncompleteBody</Code></Error>"
            self.objects[key] = data
            return "200 OK", [], b""
        if method == "DELETE":
            del self.objects[key]
            return "204 No Content", [], b""
        data = self.objects[key]
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", environ.get("HTTP_RANGE", ""))
        if found is None:
            return "200 OK", [], data
        return "206 Partial Content", [], data[int(found[1]) : int(found[2]) + 1]

    def genuine(self, environ: dict[str, Any], method: str, path: str) -> bool:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, from the other side."""
        said = AUTHORIZATION(environ.get("HTTP_AUTHORIZATION", ""))
        if said is None or said[1] != KEY or said[3] != REGION:
            return False
        names = said[4].split(";")
        sent = {name.removeprefix("HTTP_"): value for name, value in environ.items()}
        values = {name: sent.get(name.upper().replace("-", "_")) for name in names}
        if {"host", "x-amz-date", "x-amz-content-sha256"} - set(names) or None in values.values():
            return False
        canonical = "\n".join([method, path, "", *(f"{name}:{values[name]}" for name in names), "", said[4],
                               str(values["x-amz-content-sha256"])])  # fmt: skip
        scope = f"{said[2]}/{REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{values['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = mac(mac(mac(mac(b"AWS4" + SECRET.encode(), said[2]), REGION), "s3"), "aws4_request")
        return mac(key, text).hex() == said[5]
