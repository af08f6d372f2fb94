"""Metrics as a monitoring system reads them."""

import json
import re
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.http.web import Web


def scrape(server):
    host, port = server.address("metrics")
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_page_of_the_web_server(start_server):
    """Only for who has the token."""
    token = "0123456789abcdef"
    server = start_server({"hosts": {"localhost": {}}, "metrics": {"token": token}})
    assert "metrics" not in server.listeners
    one = Web(server)
    for said in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
    ):
        answer = one.get("/metrics", **said)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    answer = one.get("/metrics", Authorization=f"bearer {token}")
    assert answer.status == 200 and b'jabberd_sessions{host="localhost"} 0' in answer.body
    assert (
        answer.headers["content-type"].startswith("text/plain")
        and answer.headers["cache-control"] == "no-store"
    )


def test_without_a_token_there_is_no_page(web):
    assert web().get("/metrics").status == 404


def test_sessions_stanzas_and_the_store(start_server, make_client, account):
    server = start_server({
        "hosts": {"localhost": {}}, "metrics": {"port": 0}, "s2s": {},
        "modules": {"register": {"enabled": True, "per_address": 0}},
    })  # fmt: skip
    before = scrape(server)
    assert before["jabberd_sessions", "localhost"] == 0
    assert before["jabberd_store_trouble",] == 0
    assert before["jabberd_s2s_streams", "in"] == before["jabberd_s2s_streams", "out"] == 0
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    from tests.client import Client

    client = Client(server.address(), "localhost").connect().login("romeo", "secret")
    after = scrape(server)
    assert after["jabberd_sessions", "localhost"] == 1
    assert after["jabberd_store_commits_total",] > before["jabberd_store_commits_total",]
    assert after["process_resident_memory_bytes",] > 1 << 20
    client.close()
    assert shown() <= {name for name, *_ in after}
    assert {name for name, *_ in after if name.startswith("jabberd_")} <= shown()


def shown():
    """The metrics in Grafana's dashboard."""
    dashboard = json.loads(Path("conf/grafana-dashboard.json").read_text())
    words = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return set(re.findall(r"(?:jabberd|process)_[a-z0-9_]+", " ".join(words)))
