"""Gajim, on a screen that nobody sees."""

import hashlib
import os
import shutil
import struct
import subprocess
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client import subscribe_both
from tests.clients.conftest import HERE, Guest
from tests.conftest import Account

PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.timeout(500)


class Gajim(Guest):
    patience = 200.0  # it is a large program


@pytest.fixture
def display() -> Iterator[str]:
    """Of an X server without a screen."""
    if not shutil.which("Xvfb"):
        pytest.skip("xvfb is not installed")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        yield ":" + number.readline().strip()
    server.terminate()
    server.wait(20)


@pytest.fixture
def gajim(display: str, tmp_path: Path) -> Iterator[Callable[[Account], Gajim]]:
    if subprocess.run([PYTHON, "-c", "import gajim"], capture_output=True, check=False).returncode:
        pytest.skip("gajim is not installed")
    guests: list[Gajim] = []

    def start(account: Account) -> Gajim:
        home = tmp_path / account.user
        home.mkdir(mode=0o700)
        guests.append(Gajim([PYTHON, str(HERE / "gajimuser.py"), str(home), display], account))
        return guests[-1]

    yield start
    for guest in guests:
        guest.kill()


def picture() -> bytes:
    """A PNG of 48 by 48."""

    def chunk(type: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + type + data + struct.pack(">I", zlib.crc32(type + data))

    rows = b"".join(b"\0" + bytes([5 * line, 99, 120]) * 48 for line in range(48))
    head = struct.pack(">IIBBBBB", 48, 48, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_one_sets_an_avatar_that_the_other_sees(gajim, account, make_client):
    romeo, juliet = account("romeo"), account("juliet")
    subscribe_both(make_client(romeo), make_client(juliet))
    image = picture()
    other, one = gajim(juliet), gajim(romeo)
    one.does("avatar", b64encode(image).decode())
    assert other.hears("avatar")[1:] == [romeo.bare, hashlib.sha1(image).hexdigest()]
    for each in (one, other):
        each.leave()
