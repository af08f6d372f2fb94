"""The Dockerfiles and compose files, read without Docker: what they name is there, and the server takes what they set."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from jabberd_py.config import load
from jabberd_py.schema import schema
from tests.acceptance.sandbox import settings
from tests.server import ROOT

FILES = {"Dockerfile": ROOT, "conf/docker/postgresql.Dockerfile": ROOT / "conf/docker",
         "conf/docker/redis.Dockerfile": ROOT / "conf/docker"}  # fmt: skip
COMPOSE = ("compose.yaml", "compose.postgres.yaml")
WORDS = {
    "FROM",
    "RUN",
    "COPY",
    "ENV",
    "USER",
    "WORKDIR",
    "VOLUME",
    "EXPOSE",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
}
VALUES = {"DOMAIN": "example.org", "DATABASE_PASSWORD": "secret"}


def instructions(file: str) -> list[tuple[str, str]]:
    """(word, the rest) of a Dockerfile, with continued lines joined."""
    lines = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    split = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(word, rest.strip()) for word, _, rest in split]


def all_of(file: str, word: str) -> list[str]:
    return [rest for each, rest in instructions(file) if each == word]


def environment(file: str = "Dockerfile") -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in all_of(file, "ENV") for pair in shlex.split(rest))


def composed(*files: str) -> dict[str, Any]:
    """The services of the files, one laid over the other, with the variables filled in."""
    services: dict[str, Any] = {}
    for file in files:
        text = re.sub(
            r"\$\{(\w+)(?::[-?][^}]*)?\}", lambda found: VALUES[found[1]], (ROOT / file).read_text()
        )
        for name, service in yaml.safe_load(text)["services"].items():
            before = services.setdefault(name, {})
            before.update(
                service | {"environment": before.get("environment", {}) | service.get("environment", {})}
            )
    return services


@pytest.mark.parametrize("file", FILES)
def test_a_dockerfile_is_of_debian_and_pypi_only(file: str) -> None:
    assert {word for word, _ in instructions(file)} <= WORDS
    assert all_of(file, "FROM") == ["debian:trixie-slim"] == [instructions(file)[0][1]]
    for rest in all_of(file, "COPY"):
        for source in rest.split()[:-1]:
            assert (FILES[file] / source).exists(), source
            tracked = subprocess.run(
                ["git", "ls-files", "--error-unmatch", source], cwd=FILES[file], capture_output=True
            )
            assert tracked.returncode == 0, f"{source} is not in the repository"
    for rest in all_of(file, "RUN"):
        shell = subprocess.run(["sh", "-n", "-c", rest], capture_output=True, text=True)
        assert shell.returncode == 0, shell.stderr
        assert not re.search(r"curl|wget|https?:", rest)
    for word in ("CMD", "ENTRYPOINT"):
        for rest in all_of(file, word):
            assert all(isinstance(each, str) for each in json.loads(rest))


def test_the_scripts_are_shell() -> None:
    done = subprocess.run(["sh", "-n", ROOT / "conf/docker/postgresql.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_but_what_is_copied_goes_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    copied = {source for rest in all_of("Dockerfile", "COPY") for source in rest.split()[:-1]}
    assert lines[0] == "*" and {line.removeprefix("!") for line in lines[1:]} == copied


@pytest.mark.parametrize("files", [COMPOSE[:1], COMPOSE], ids=["alone", "with PostgreSQL and Redis"])
def test_the_server_takes_what_compose_sets(files: tuple[str, ...]) -> None:
    services = composed(*files)
    given = environment() | services["jabberd"]["environment"]
    config = load(str(ROOT / "conf/jabberd.yaml.example"), [], given, schema=schema())
    assert list(config.hosts) == ["example.org"]
    ports = {str(config["c2s"].port), str(config["c2s"].direct_port), str(config["s2s"].port), "5281", "7777"}
    assert set(all_of("Dockerfile", "EXPOSE")[0].split()) == ports
    assert {each.partition(":")[2] for each in services["jabberd"]["ports"]} == ports
    if len(files) > 1:
        assert given["JABBERD_DATABASE"] == "postgresql://jabberd:secret@postgresql/jabberd"


def test_every_service_can_be_built_and_keeps_its_data() -> None:
    services = composed(*COMPOSE)
    assert set(services) == {"jabberd", "postgresql", "redis"}
    assert set(services["jabberd"]["depends_on"]) == {"postgresql", "redis"}
    for name, service in services.items():
        build = service["build"] if isinstance(service["build"], dict) else {"context": service["build"]}
        file = Path(build["context"]) / build.get("dockerfile", "Dockerfile")
        assert str(file) in FILES and "image" not in service
        volumes = {each.partition(":")[2] for each in service.get("volumes", ())}
        assert volumes == set(all_of(str(file), "VOLUME")), name
    named = {each for file in COMPOSE for each in yaml.safe_load((ROOT / file).read_text())["volumes"]}
    assert named == {"data", "database"}


def test_the_paths_are_those_of_the_unit() -> None:
    unit, image = settings(str(ROOT / "conf/jabberd.service")), environment()
    assert unit["Environment"] == f"JABBERD_CONFIG={image['JABBERD_CONFIG']}"
    assert image["JABBERD_DATA"] == unit["WorkingDirectory"] == all_of("Dockerfile", "VOLUME")[0]
    assert json.loads(all_of("Dockerfile", "ENTRYPOINT")[0]) == [unit["ExecStart"]]
