"""`make install`: for a whole machine, into DESTDIR; again, as for an upgrade; and away."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jabberd_py.config import load
from jabberd_py.schema import schema
from tests.acceptance.conftest import Clone
from tests.acceptance.sandbox import settings

pytestmark = pytest.mark.timeout(600)  # pip


def make(clone: Clone, *arguments: str, fails: bool = False, under: tuple[str, ...] = ()) -> str:
    done = subprocess.run([*under, "make", *arguments], cwd=clone.path, env=clone.environment(), capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_install_upgrade_uninstall(tmp_path: Path) -> None:
    clone, root = Clone(tmp_path / "clone"), tmp_path / "root"
    there = f"DESTDIR={root}"
    said = make(clone, "install", there)
    programs, config, unit = (
        root / "opt/jabberd",
        root / "etc/jabberd/jabberd.yaml",
        root / "etc/systemd/system/jabberd.service",
    )
    assert f"made {config}" in said

    # what the unit will find
    wanted = settings(str(unit))
    for command in (wanted["ExecStart"], wanted["ExecReload"].split()[0]):
        file = root / command.removeprefix("/")
        assert os.access(file, os.X_OK) and file.read_text().splitlines()[0] == "#!/opt/jabberd/bin/python"
    found = load(str(config), schema=schema())
    assert found.top.data == wanted["WorkingDirectory"] and (root / "var/lib/jabberd").is_dir()
    assert found["ctl"].socket == f"/run/{wanted['RuntimeDirectory']}/jabberctl.sock"
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert os.readlink(root / "usr/local/bin/jabberctl") == "/opt/jabberd/bin/jabberctl"

    # it does not need the clone
    where = "import jabberd_py, jabberd_py.server; print(jabberd_py.__file__)"
    done = subprocess.run([programs / "bin/python", "-c", where], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.stdout.startswith(str(programs)), done.stderr
    everybody = [each for each in programs.rglob("*") if not each.is_symlink()]
    assert all(each.stat().st_mode & 0o004 for each in everybody), "the server's user must be able to read it"

    # again: what is the operator's stays
    config.write_text("hosts: [example.org]\n")
    unit.unlink()
    said = make(clone, "install", there)
    assert config.read_text() == "hosts: [example.org]\n" and f"made {config}" not in said and unit.exists()

    (root / "var/lib/jabberd/jabberd.sqlite").touch()
    said = make(clone, "uninstall", there)
    left = {str(each.relative_to(root)) for each in root.rglob("*") if each.is_file() or each.is_symlink()}
    assert left == {
        "etc/jabberd/jabberd.yaml",
        "etc/jabberd/jabberd.yaml.example",
        "var/lib/jabberd/jabberd.sqlite",
    }
    assert "left: " in said
    make(clone, "uninstall", there)  # a second time is no mistake


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become somebody else"
)
def test_who_is_not_root_is_told_so(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    for each in (clone.path, *clone.path.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    nobody = ("setpriv", "--reuid", "65534", "--clear-groups")
    for target in ("install", "uninstall"):
        assert "this wants to be root (or DESTDIR=...)" in make(clone, target, fails=True, under=nobody)


def test_make_conf_overwrites_nothing(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    (clone.path / ".venv").symlink_to(Path(sys.prefix))
    (clone.path / "conf/jabberd.yaml").write_text("hosts: [example.org]\n")
    make(clone, "conf", "-o", ".venv/run.stamp")
    assert (clone.path / "conf/jabberd.yaml").read_text() == "hosts: [example.org]\n"
    (clone.path / "conf/jabberd.yaml").unlink()
    assert "made conf/jabberd.yaml" in make(clone, "conf", "-o", ".venv/run.stamp")
    assert (clone.path / "conf/jabberd.yaml").read_text() == (
        clone.path / "conf/jabberd.yaml.example"
    ).read_text()
    assert clone.git("-C", clone.path, "status", "--porcelain", "--", "conf") == b""
