"""Certificates from an authority that speaks ACME (RFC 8555), such as Let's Encrypt; renewed in time (docs/certificates.md)."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import gevent
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from gevent.lock import BoundedSemaphore

from .. import log
from ..commands import Caller, Failed
from ..hooks import Answer, Module, Option, Progress, Refusal, Request, command, every, http, on, optional
from ..net import certfiles
from ..net.acme import WRONG, ACMEError, Authority, write
from ..net.identity import a_label_form, identities
from ..net.tls import Certificates
from ..options import brief
from ..service import Service
from ..words import span
from ..xdb import xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.stamp import utc

logger = log.get(__name__)

KNOWN = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
"""Directories by name."""
STAGING = {KNOWN["letsencrypt"]: KNOWN["letsencrypt-staging"]}
"""What is asked first, since mistakes cost nothing there."""
FIRST, LONGEST = 300.0, 86400.0
"""Seconds of waiting after the first failure, and at most (it doubles)."""
ASK, OFTEN = 6 * 3600.0, 600.0
"""Seconds until the authority is asked again when the certificate is to be renewed: if it does not say, and at least."""
PATIENT = 7 * 86400.0
"""Seconds that an authority can make us wait."""
JITTER = 0.05
"""Part of a certificate's life by which renewals of servers that were set up at one time differ."""
CHALLENGES: dict[str, bytes] = {}
"""Token -> what the authority wants to read."""
PATH = "/.well-known/acme-challenge"


def directory_url(value: Any) -> str:
    """The URL of a directory (RFC 8555 section 7.1.1), or a name of `KNOWN`."""
    text = KNOWN.get(str(value).lower(), str(value))
    if not re.fullmatch(r"https://[^/\s?#]+(/[^\s#]*)?", text):
        raise ValueError(f"must be {' or '.join(KNOWN)} or begin with https://, not {brief(value)}")
    return text


class Acme(Module):
    """Gets the certificate of a host and its services from an authority (ACME), and renews it. It is off until `directory` is
    set. The authority asks our web server on port 80: see http.challenge_port."""

    directory = Option[str | None](
        optional(directory_url), None, "the authority: letsencrypt, or the URL of a directory; null: none"
    )
    staging = Option[str | None](
        optional(directory_url), None,
        "the directory that is tried first, since mistakes cost nothing there; of letsencrypt by default its own",
    )  # fmt: skip
    email = Option[str | None](optional(str), None, "where the authority may write to")
    ca = Option[str | None](
        optional(str),
        None,
        "file of the authorities of the directory's own certificate; by default the system's",
    )
    turn: ClassVar[BoundedSemaphore] = BoundedSemaphore(1)
    """One order at a time."""
    ordering = False
    renewed = 0.0
    """When the last order ended well; monotonic clock."""

    @http(PATH, below=True)
    def challenge(self, request: Request) -> Answer:
        """RFC 8555 section 8.3."""
        content = CHALLENGES.get(request.below[1:])
        if content is None:
            raise Refusal(404)
        return Answer(
            body=content, headers={"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
        )

    @on("restored", "reload")
    def look_soon(self) -> None:
        """When the web server listens, and when services have come."""
        gevent.spawn_later(random.uniform(1, 3), self._look_safely)

    @every(600)
    def look(self) -> None:
        """Renews the certificate if its time has come. Blocks."""
        if self.directory is None:
            return
        self._ask()
        if time.time() < self._next():
            return
        xdb.release()
        with self.turn:
            if (
                not self.host.ending and time.time() >= self._next()
            ):  # another look may have been here meanwhile
                with suppress(ACMEError):
                    for _ in self._renew():
                        pass

    def _look_safely(self) -> None:
        try:
            with xdb.unit():
                self.look()
        except Exception:
            logger.exception("the certificate cannot be looked at", host=self.host.domain)

    # -- commands -----------------------------------------------------------------------------------

    @command("certificates show")
    def show(self) -> list[dict[str, Any]]:
        """The certificate of each host: names, end, the authority that renews it, when, what the last order came to, and
        what went wrong."""
        report, state = certfiles.report(self.host.domain, self.store.folder), self._state()
        left_out = [f"{name}: {reason}" for name, reason in state.get("left_out", {}).items()]
        return [{
            "domain": self.host.domain, "names": report.names, "days": report.days, "authority": self.directory or "",
            "renewal": utc(self._next()) if self.directory else "", "last_order": self._last(),
            "trouble": "; ".join(filter(None, [*report.trouble, state.get("trouble"), *left_out])),
        }]  # fmt: skip

    def _last(self) -> str:
        """What came of the last order. Empty: there was none."""
        state = self._state()
        return (
            "under way"
            if self.ordering
            else "failed"
            if state.get("failures")
            else "done"
            if state.get("proven")
            else ""
        )

    @command("certificates renew", changes=True)
    def renew(self, caller: Caller) -> Iterator[Any]:
        """Get a new certificate now, whatever the old one's age. Streams that are up stay."""
        if self.directory is None:
            raise Failed(
                f"{self.host.domain} has no authority yet: get one from Let's Encrypt (certificates order)"
            )
        xdb.release()
        asked = time.monotonic()
        with self.turn:
            try:
                if self.renewed < asked:  # else another one who asked has got it meanwhile
                    yield from self._renew()
            except ACMEError as error:
                raise Failed(str(error)) from None
        yield self.show()

    # -- one order ------------------------------------------------------------------------------------

    def _renew(self) -> Iterator[Progress]:
        """Orders, and takes the certificate into use. Blocks. Raises ACMEError; then `check certificates` and a message to the
        administrators tell why."""
        assert self.directory is not None
        wanted = self._names()
        state = self._state()
        staging = self.staging or STAGING.get(self.directory)
        proven = [self.directory, wanted]
        left_out: dict[str, str] = {}
        self.ordering = True
        try:
            self._check_files()
            key = self._key()
            if staging and staging != self.directory and state.get("proven") != proven:
                yield Progress(0, 2, "staging")
                _, left_out = self._order(staging, wanted, key)
            yield Progress(1, 2, self.directory)
            chain, more = self._order(self.directory, [each for each in wanted if each not in left_out], key)
            self._use(chain, key)
        except ACMEError as error:
            self._failed(state, error)
            raise
        except (OSError, ValueError) as error:
            self._failed(state, ACMEError(str(error)))
            raise ACMEError(str(error)) from None
        finally:
            self.ordering = False
        if state.get("trouble"):
            self._tell(f"The certificate of {self.host.domain} is renewed now.")
        self._keep({"proven": proven, "left_out": left_out | more})
        self.renewed = time.monotonic()
        logger.info(
            "a new certificate", host=self.host.domain, names=" ".join(wanted), directory=self.directory
        )

    def _order(self, directory: str, names: list[str], key: bytes) -> tuple[bytes, dict[str, str]]:
        """(chain, names that were left out with the reason): a service whose name has no address must not keep the host from
        its certificate."""
        authority = self._authority(directory)
        left_out: dict[str, str] = {}
        while True:
            rest = [each for each in names if each not in left_out]
            try:
                return authority.order(rest, key), left_out
            except ACMEError as error:
                found = {each: reason for each, reason in error.names.items() if each in rest[1:]}
                if len(found) < len(error.names) or not found or error.wait is not None:
                    if abs(authority.clock) > WRONG:
                        raise ACMEError(f"{error}; our clock differs from the authority's by {span(authority.clock)}",
                                        wait=error.wait) from None  # fmt: skip
                    raise
                left_out |= found
                logger.warning(
                    "left out of the certificate", names=" ".join(found), reason="; ".join(found.values())
                )

    def _authority(self, directory: str) -> Authority:
        name = hashlib.sha256(directory.encode()).hexdigest()[:16]
        return Authority(directory, self.folder / f"account-{name}.json", self.email, self.ca, _present)

    def _names(self) -> list[str]:
        """The host's, then those of its services that have no files of their own, as A-labels."""
        host, found = self.host.domain, [self.host.domain]
        for each in self.host.router.instances.values():
            shared = isinstance(each, Service) and each.host is self.host
            if shared and certfiles.files(each.domain, host, self.store.folder) == self._files():
                found.append(each.domain)
        return list(dict.fromkeys(map(a_label_form, found)))

    def _key(self) -> bytes:
        """The private key stays the same, so that TLSA records of it stay right, too."""
        content = certfiles.key_in(*self._files()).read_bytes()
        found = re.search(
            rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\s*", content, re.DOTALL
        )
        if found is None:
            raise ValueError(f"{certfiles.key_in(*self._files())}: holds no private key in PEM format")
        return found[0]

    def _check_files(self) -> None:
        """Can what we are going to get be kept? Each file is replaced by itself. An authority gives few certificates a week, so
        none is thrown away. Raises ValueError."""
        for file in (self._files()[0], self.folder / f"{self.host.domain}.json"):
            trial = file if file.exists() else file.with_name(f".{file.name}.trial")
            try:
                write(trial, file.read_bytes() if trial == file else b"")
                if trial != file:
                    trial.unlink()
            except OSError as error:
                raise ValueError(
                    f"{file} cannot be replaced: {error.strerror}; nothing was ordered"
                ) from None

    def _use(self, chain: bytes, key: bytes) -> None:
        """One file is replaced, at once: the key stays. New connections get the certificate. Raises OSError, ValueError."""
        certificate, separate = self._files()
        before = certificate.read_bytes()
        write(certificate, chain if separate.exists() else chain + key)
        try:
            self.store.again()
        except Exception:
            write(certificate, before)
            raise

    def _failed(self, state: dict[str, Any], error: ACMEError) -> None:
        failures = state.get("failures", 0) + 1
        wait = min(FIRST * 2.0 ** min(failures - 1, 20), LONGEST) * random.uniform(0.8, 1.2)
        now = time.time()
        state |= {
            "failures": failures,
            "trouble": str(error),
            "next": now + max(wait, min(error.wait or 0.0, PATIENT)),
        }
        logger.warning("no new certificate", host=self.host.domain, reason=str(error))
        if now - state.get("told", 0) > LONGEST:
            state["told"] = now
            days = certfiles.report(self.host.domain, self.store.folder).days
            self._tell(
                f"There is no new certificate for {self.host.domain}: {error}. The present one is valid for "
                f"{days if days is not None else 0} more days. The server goes on trying, the next time "
                f"{span(state['next'] - now)} from now; jabberctl certificates renew tries at once."
            )
        self._keep(state)

    def _tell(self, text: str) -> None:
        """A message to each administrator of the host."""
        for each in self.host.admins or ():
            body = Element("body", ns.CLIENT, text)
            self.host.router.deliver(Element("message", ns.CLIENT, body, from_=self.host.domain, to=each))

    # -- when -------------------------------------------------------------------------------------------

    def _next(self) -> float:
        """When the next order is due, in seconds since 1970."""
        state, now = self._state(), time.time()
        if (
            state.get("failures") and state.get("next", 0) < now + PATIENT + LONGEST
        ):  # else the clock was wrong
            return float(state["next"])
        try:
            cert = certfiles.read(*self._files())[0]
        except ValueError:
            return 0.0
        covered = set(identities(cert.public_bytes(Encoding.DER)).dns) | set(state.get("left_out", {}))
        if cert.issuer == cert.subject or not covered.issuperset(self._names()) or "proven" not in state:
            return 0.0
        if state["proven"][0] != self.directory:
            return 0.0
        told = state.get("told_time", {})
        if told.get("serial") == cert.serial_number and told["at"] is not None:
            return within(cert, told["at"])
        return renewal(cert, self.host.domain)

    def _ask(self) -> None:
        """Asks the authority when it would like to see the certificate renewed (RFC 9773). If it does not answer, what it said
        last holds, or our own time. Blocks."""
        assert self.directory is not None
        state, now = self._state(), time.time()
        try:
            chain = self._files()[0].read_bytes()
            serial = certfiles.read(*self._files())[0].serial_number
        except (OSError, ValueError):
            return
        told = state.get("told_time", {})
        if told.get("serial") != serial:
            told = {"serial": serial, "at": None, "again": 0.0}
        asked = now < told["again"] < now + LONGEST
        if asked or state.get("failures") or state.get("proven", [""])[0] != self.directory:
            return
        xdb.release()
        try:
            told["at"], again = self._authority(self.directory).renewal(chain)
        except ACMEError as error:
            logger.debug("the authority does not say when", host=self.host.domain, reason=str(error))
            again = now + ASK
        told["again"] = min(max(again, now + OFTEN), now + LONGEST - 1)
        self._keep(self._state() | {"told_time": told})

    # -- what is kept -------------------------------------------------------------------------------------

    @property
    def store(self) -> Certificates:
        found: Certificates = self.host.router.certificates
        return found

    @property
    def folder(self) -> Path:
        return Path(xdb.store.folder if xdb.store else ".") / "acme"

    def _files(self) -> tuple[Path, Path]:
        return certfiles.files(self.host.domain, self.host.domain, self.store.folder)

    def _state(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / f"{self.host.domain}.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}

    def _keep(self, state: dict[str, Any]) -> None:
        self.store.notes.pop(self.host.domain, None)
        if state.get("trouble"):
            self.store.notes[self.host.domain] = f"cannot be renewed: {state['trouble']}"
        with suppress(OSError):
            write(self.folder / f"{self.host.domain}.json", json.dumps(state).encode())


def renewal(cert: x509.Certificate, domain: str) -> float:
    """When a third of the life is left, or a little earlier, by domain. Seconds since 1970."""
    life = cert.not_valid_after_utc - cert.not_valid_before_utc
    early = life * (JITTER * hashlib.sha256(domain.encode()).digest()[0] / 255)
    when: datetime.datetime = cert.not_valid_after_utc - life / 3 - early
    return when.timestamp()


def within(cert: x509.Certificate, when: float) -> float:
    """A time that an authority has told, but neither so late that little life is left, nor so early that a wrong answer makes
    us order again and again. Seconds since 1970."""
    begin, end = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
    return max(min(when, end - (end - begin) / 10), begin + min(LONGEST, (end - begin) / 3))


def _present(token: str, content: bytes | None) -> None:
    if content is None:
        CHALLENGES.pop(token, None)
    else:
        CHALLENGES[token] = content
