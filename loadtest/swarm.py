"""``python -m loadtest.swarm``: thousands of Locust users from one command: a server of its own with accounts and
rosters, Locust's master and its workers. ``--html FILE`` for Locust's charts; other options go to Locust as they are."""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import peers
from .peers.base import free_port
from .rows import CONTACTS

LOCUST = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py"))]
PASSWORD = "load"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.swarm", description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--rate", type=int, default=200, help="users that begin in a second")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--time", default="60s")
    parser.add_argument("--scenario", default="Mixed")
    parser.add_argument("--tls", default="starttls")
    options, more = parser.parse_known_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = 2 * (options.users // options.workers + 1)  # a scenario of pairs takes two
    names = [f"load{number + 1}" for number in range(each * options.workers)]
    near = range(1, CONTACTS // 2 + 1)
    rosters = {
        name: [names[(at + step) % len(names)] for n in near for step in (n, -n)]
        for at, name in enumerate(names)
    }
    folder = Path(tempfile.mkdtemp(prefix="swarm-"))
    server = peers.make("jabberd_py", folder)
    workers: list[subprocess.Popen[bytes]] = []
    try:
        server.start([(name, PASSWORD) for name in names], rosters, {"archive": True})
        port = str(free_port())
        host, c2s = server.address
        common = ["--host", host, "--port", str(c2s), "--tls", options.tls, "--password", PASSWORD,
                  "--accounts", str(each), options.scenario, *more]  # fmt: skip
        for _ in range(options.workers):
            command = [*LOCUST, "--worker", "--master-host", "127.0.0.1", "--master-port", port, *common]
            workers.append(subprocess.Popen(command))
        return subprocess.call(
            [*LOCUST, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
             "--expect-workers", str(options.workers), "--headless", "--only-summary", "--users", str(options.users),
             "--spawn-rate", str(options.rate), "--run-time", options.time, *common]
        )  # fmt: skip
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
