"""How jabberctl finds the server: from anywhere, and the right one where there are several."""

from pathlib import Path

import pytest

from jabberd_py.ctl import place


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a server of its own, in `etc.yaml`, a clone with its data, and us in `here`."""
    (tmp_path / "etc.yaml").write_text(
        "data: /var/lib/jabberd\nctl:\n  socket: /run/jabberd/jabberctl.sock\n"
    )
    monkeypatch.setattr(place, "INSTALLED", str(tmp_path / "etc.yaml"))
    for each in ("here", "clone/data", "clone/conf"):
        (tmp_path / each).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_from_anywhere_it_is_the_server_of_the_machine(machine: Path) -> None:
    found = place.find(None, {})
    assert (found.socket, found.data) == ("/run/jabberd/jabberctl.sock", Path("/var/lib/jabberd"))


def test_a_clone_s_own_jabberctl_finds_the_clone_s_server(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"JABBERCTL_HOME": str(machine / "clone")}
    assert place.find(None, own).socket == str(machine / "clone/data/jabberctl.sock")
    monkeypatch.chdir(machine / "clone")
    assert place.find(None, {}).socket == str(machine / "clone/data/jabberctl.sock")
    (machine / "clone/conf/jabberd.yaml").write_text("data: other\n")
    assert place.find(None, own).socket == str(machine / "clone/other/jabberctl.sock")


def test_a_variable_or_an_option_names_another_configuration(machine: Path) -> None:
    file = machine / "mine.yaml"
    file.write_text(f"data: {machine}/mine\n")
    for found in (place.find(None, {"JABBERD_CONFIG": str(file)}), place.find(str(file), {})):
        assert found.socket == f"{machine}/mine/jabberctl.sock"
    assert place.find(str(file), {"JABBERD_DATA": "/data"}).socket == "/data/jabberctl.sock"


def test_a_configuration_full_of_mistakes_will_do(machine: Path) -> None:
    (machine / "etc.yaml").write_text("data: /srv\nhosts: [a, b\nctl:\n\tsocket: x\n]]]: {\n")
    assert place.find(None, {}).data == Path("/srv")
