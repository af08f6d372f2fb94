"""What to do: sentences for a person, beside what a check or a failed connection says."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

FAILURES = (
    (
        r"NXDOMAIN|no such|knows no",
        "There is no such domain in the DNS. Is the address written right? If it is, the other domain has "
        "lost its DNS records; only its owner can mend that.",
    ),
    (
        r"has no address|says in the DNS that it talks to no",
        "The other domain has no server for this in the DNS. Nothing to mend here.",
    ),
    (
        r"name server|DNS|resolver|SERVFAIL",
        "Our name server could not answer. Look at the doctor's page, and at `dns.nameservers`.",
    ),
    (
        r"certificate",
        "The other server's certificate is expired, of another name, or of an authority that we do not know. "
        "Its operator has to renew it. With `s2s.certificates: dialback` we talk to it all the same, if it proves its "
        "domain by the DNS.",
    ),
    (
        r"offer TLS|cannot encrypt|TLS failed|handshake",
        "The other server cannot encrypt as we want it. Its operator has to switch TLS on.",
    ),
    (
        r"refused",
        "The machine is there, and no XMPP server answers on that port: it is stopped, or a firewall is in "
        "the way. We try again by ourselves.",
    ),
    (
        r"timed? ?out|does not answer|unreachable|cannot be reached",
        "No answer: the other server is down, or a firewall stops us. Can this machine reach port 5269 of "
        "others at all? If other servers work, wait; we try again by ourselves.",
    ),
    (
        r"does not believe|did not accept|key",
        "The other server could not make sure that we are who we say. Do our own DNS records lead to this "
        "server, and can others reach its port 5269? The doctor's page tells.",
    ),
    (
        r"does not talk to|does not take",
        "One of the two sides has a rule against it. Ours stand in `s2s.allow` and `s2s.deny`, and on the "
        "blacklist.",
    ),
    (
        r"coming up",
        "A connection is just being made.",
    ),
)
"""Pattern of what went wrong -> what it means, and what to do. The first one that fits."""
ADVICE = {
    "certificates": "Let the server get one, or put one into the folder of certificates and have the files read again: both on "
    "the page Certificates.",
    "dns": "Set the record at whoever keeps the DNS of the domain. It may take an hour until all see it.",
    "ports": "Open the port in the firewall of this machine, and in the one of your provider.",
    "disk": "Free some room, or move the data folder to a larger disk.",
    "limits": "Raise the limit in the unit of systemd (LimitNOFILE=), then start the server again.",
    "clock": "Switch time synchronisation on: `timedatectl set-ntp true`.",
    "store": "Make a backup first, and keep it. Then see docs/trouble.md.",
    "config": "Correct the configuration file, then run `reload`.",
    "federation": "Others look for our domain in the DNS and must find this server at port 5269.",
}
"""Check -> what to do when it finds something."""


PAGES = {"certificates": ("/console/certificates", "Certificates"), "store": ("/console/store", "Store and backups"),
         "disk": ("/console/store", "Store and backups"), "config": ("/console/options/", "Modules and options"),
         "federation": ("/console/federation", "Federation")}  # fmt: skip
"""Check -> the page where that is done: its path, and the text of the link."""


def explain(trouble: str) -> str:
    """What a failed connection to another server means, and what to do."""
    return next(
        (text for pattern, text in FAILURES if re.search(pattern, trouble, re.I)),
        "We try again by ourselves.",
    )


NAMES = ("check", "trouble", "domain", "about", "name", "modules")
"""Fields of a check that have a place of their own on the page, or are no help there."""


class Finding(NamedTuple):
    """One line of a check. ``trouble``: what is wrong, empty if nothing is."""

    check: str
    about: str
    found: str
    trouble: str
    advice: str
    page: tuple[str, str] | None = None
    """Where that is done: path, and text of the link."""

    @classmethod
    def of(cls, row: dict[str, Any]) -> Finding:
        said = row.get("trouble") or ""
        trouble = "; ".join(said) if isinstance(said, list) else str(said)
        check = str(row.get("check", ""))
        about = str(row.get("domain") or row.get("about") or row.get("name") or "")
        rest = [
            str(value) for key, value in row.items()
            if key not in NAMES and value not in (None, "", []) and not isinstance(value, dict)
        ]  # fmt: skip
        advice, page = (ADVICE.get(check, ""), PAGES.get(check)) if trouble else ("", None)
        return cls(check, about, ", ".join(rest), trouble, advice, page)
