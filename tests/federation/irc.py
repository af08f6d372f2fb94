"""An IRC network of our own: ngircd, biboumi as its gateway, and a raw IRC client. All on loopback."""

import random
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

import gevent
import pytest

NGIRCD = """
[Global]
Name = irc.test.localhost
Info = test
AdminInfo1 = test
Listen = {address}
Ports = 6667
MotdPhrase = hello
PidFile =
[Limits]
MaxConnectionsIP = 0
MaxNickLength = 30
[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local1
"""
BIBOUMI = """
hostname={domain}
password={secret}
xmpp_server_ip=127.0.0.1
port={port}
db_name={folder}/biboumi.sqlite
log_file={folder}/biboumi.log
log_level=0
identd_port=0
"""
PATIENCE = 20.0  # seconds, on a busy machine


class Ircd:
    """ngircd at a loopback address of its own. Skips the test where it is missing."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("ngircd") or not shutil.which("biboumi"):
            pytest.skip("ngircd and biboumi are not both installed")
        self.address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(2, 250)}"
        config = folder / "ngircd.conf"
        config.write_text(NGIRCD.format(address=self.address))
        folder.chmod(0o755)
        with (folder / "ngircd.log").open("wb") as log:
            self.process = subprocess.Popen(["ngircd", "-n", "-f", config], stdout=log, stderr=log)
        with gevent.Timeout(PATIENCE, AssertionError(f"ngircd does not listen: {folder}/ngircd.log")):
            while True:
                try:
                    socket.create_connection((self.address, 6667)).close()
                    break
                except ConnectionRefusedError:
                    assert self.process.poll() is None, (folder / "ngircd.log").read_text()
                    gevent.sleep(0.05)

    def stop(self) -> None:
        end(self.process)


class Biboumi:
    """The gateway; it connects to the server's component port, again and again by itself."""

    def __init__(self, folder: Path, address: tuple[str, int], domain: str, secret: str) -> None:
        config = folder / "biboumi.cfg"
        config.write_text(BIBOUMI.format(folder=folder, port=address[1], domain=domain, secret=secret))
        self.command = ["biboumi", str(config)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        end(self.process)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class IrcClient:
    """Raw lines, and an answer to PING."""

    def __init__(self, address: str, nick: str) -> None:
        self.socket = socket.create_connection((address, 6667), timeout=PATIENCE)
        self.lines: list[str] = []
        self.file = self.socket.makefile("r", encoding="utf-8", errors="replace", newline="\r\n")
        self.say(f"NICK {nick}").say(f"USER {nick} 0 * :{nick}").hears(" 001 ")

    def say(self, line: str) -> Self:
        self.socket.sendall(line.encode() + b"\r\n")
        return self

    def hears(self, text: str) -> str:
        """The next line with that in it; all before it is dropped."""
        for line in self.file:
            if line.startswith("PING"):
                self.say(line.rstrip().replace("PING", "PONG", 1))
            if text in line:
                return line.rstrip()
        raise AssertionError(f"the IRC server hung up before {text!r}")

    def close(self) -> None:
        self.file.close()
        self.socket.close()
