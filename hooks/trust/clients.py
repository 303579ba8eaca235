"""
Clients: the EHRs that may call, each with the key sets that its tokens are checked against.

A key set is a file or an address of the configuration; it is read again now and then, and goes on being used for a
day while it cannot be had.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from hooks.fhir_server.addresses import base_of
from hooks.fhir_server.download import download, in_parallel
from hooks.fhir_server.watches import FetchError
from hooks.settings import ClientSettings, SettingsError, is_loopback
from hooks.trust.gate import TokenBucket

log = logging.getLogger("oncobone.trust")

# What may be configured. No `none`, nothing symmetric: CDS Hooks forbids both.
ALGORITHMS: Final = ("ES384", "RS384", "ES256", "RS256")
_CURVES: Final[Mapping[str, str]] = {"secp384r1": "ES384", "secp256r1": "ES256"}
_FAMILIES: Final[Mapping[tuple[object, object], str]] = {
    ("RSA", None): "RS384",
    ("EC", "P-384"): "ES384",
    ("EC", "P-256"): "ES256",
}

LONGEST_TENANT: Final = 255  # as the store has room
RSA_BITS: Final = (2048, 8192)

KEYS_FRESH: Final = 600  # seconds a key set is used without looking again
KEYS_STALE: Final = 24 * 3600  # seconds it is used at the most, while it cannot be fetched
KEYS_AT_ONCE: Final = 2  # fetches of a key set that may follow each other at once
KEYS_AGAIN: Final = 10  # seconds until one more is allowed
KEYS_SECONDS: Final = 2.0
KEYS_BYTES: Final = 64 * 1024
KEYS_COUNT: Final = 50
KEYS_CURE: Final = "It is the public JWKS of the EHR; oncobone keys new writes such a file."


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls: an EHR, and the organisation it speaks for."""

    issuer: str
    tenant: str
    fhir_servers: tuple[str, ...] = ()
    calls_per_second: float = 500.0
    shadow: bool = False
    fhir_anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, with the algorithms it may be used with."""

    algorithms: tuple[str, ...]
    public: RSAPublicKey | EllipticCurvePublicKey


class KeySetError(ValueError):
    """A key set that cannot be read."""


def read_keys(document: bytes) -> dict[str, Key]:
    """
    The usable keys of a key set (JWKS), by `kid`.

    Left out, with a line in the log: keys without `kid` or with one that occurs twice, symmetric and private keys,
    keys for encryption, RSA under 2048 bits, other curves. Raises `KeySetError` when it is not a key set at all.
    """
    if len(document) > KEYS_BYTES:
        raise KeySetError(f"a key set may have {KEYS_BYTES // 1024} KiB")
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise KeySetError(
            "it is not JSON, such as a web page: is it the address, or the file, of a key set?"
        ) from error
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list) or len(listed) > KEYS_COUNT:
        raise KeySetError(f"it is not an object with a list `keys` of at most {KEYS_COUNT}")
    keys: dict[str, Key] = {}
    twice: set[str] = set()
    for jwk in listed:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        key = _read_key(jwk) if isinstance(kid, str) else None
        if key is None or not isinstance(kid, str):
            log.warning("a key of a key set is of no use", extra={"component": "trust"})
        elif kid in keys:
            twice.add(kid)
        else:
            keys[kid] = key
    return {kid: key for kid, key in keys.items() if kid not in twice}


def _read_key(jwk: dict[str, Any]) -> Key | None:
    try:
        verifies = jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ["verify"])
        family = _FAMILIES.get((jwk.get("kty"), jwk.get("crv")))
        if not verifies or family is None or "d" in jwk:
            return None
        public = jwt.PyJWK.from_dict(jwk, algorithm=family).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError):
        return None
    algorithms = _algorithms_of(public)
    if "alg" in jwk:
        algorithms = tuple(each for each in algorithms if each == jwk["alg"])
    return Key(algorithms, public) if algorithms else None


def _algorithms_of(public: object) -> tuple[str, ...]:
    if isinstance(public, RSAPublicKey):
        least, most = RSA_BITS
        return ("RS384", "RS256") if least <= public.key_size <= most else ()
    if isinstance(public, EllipticCurvePublicKey):
        return (_CURVES[public.curve.name],) if public.curve.name in _CURVES else ()
    return ()


class KeyRing:
    """
    The keys of one issuer, kept for ten minutes, and for a day while they cannot be fetched.

    A key that is not known makes it look again at once, one thread at a time. Anybody can invent such a key, so looks
    are braked: two at once, then one in ten seconds. Each look brings the whole key set, so whoever uses the brake up
    keeps no rotated key out for longer than that.
    """

    def __init__(self, load: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self.fault: str | None = None
        """Why the last look brought no keys, in words; None when it did."""
        self._loaded_at: float | None = None
        self._looks = TokenBucket(1 / KEYS_AGAIN, clock, at_once=KEYS_AT_ONCE)
        self._lock = threading.Lock()

    def find(self, kid: str) -> Key | None:
        """The key of this id. Waits for the issuer's server only when there is no key to go on with."""
        key = self._keys.get(kid)
        if key is not None and self._age() < KEYS_FRESH:
            return key
        if self._lock.acquire(blocking=key is None, timeout=2 * KEYS_SECONDS if key is None else -1):
            try:
                # Another thread may have looked while this one waited.
                if kid not in self._keys or self._age() >= KEYS_FRESH:
                    self._look_again()
            finally:
                self._lock.release()
        return self._keys.get(kid) if self._age() < KEYS_STALE else None

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the usable keys, as they were last read."""
        return frozenset(self._keys)

    def look(self) -> None:
        """Loads the keys, whenever that was done before; raises when they cannot be had."""
        with self._lock:
            self._take(self._load())

    def _age(self) -> float:
        return math.inf if self._loaded_at is None else self._clock() - self._loaded_at

    def _look_again(self) -> None:
        if self._looks.take() > 0:
            return
        try:
            self._take(self._load())
        except (FetchError, KeySetError, OSError) as error:
            reason = error.reason if isinstance(error, FetchError) else type(error).__name__
            self.fault = _FAULTS.get(reason, str(error))
            log.warning("a key set cannot be had", extra={"component": "trust", "error": reason})

    def _take(self, document: bytes) -> None:
        self._keys = read_keys(document)
        self.fault = None
        self._loaded_at = self._clock()


_FAULTS: Mapping[str, str] = {
    "certificate": "its server's certificate is signed by nobody we trust: name the file of its authority (PEM)"
    " in ONCOBONE_CA_FILE",
    "tls": "its server speaks no TLS at this port, or none that we accept",
    "connection": "its server cannot be reached from here: look at host, port and firewall",
    "timeout": f"its server did not answer within {KEYS_SECONDS:.0f} s",
    "redirect": "its server sends us elsewhere, which is not followed: configure the address it sends to",
    "not-found": "its server knows no such address (404)",
    "unauthorized": "its server wants a sign-in (401), and a key set is public",
    "forbidden": "its server refuses it (403), and a key set is public",
}
"""Why the keys at `jku` could not be had, with the cure; for the other reasons the word will do."""


def _fetch_keys(url: str, ca_file: str | None) -> bytes:
    """The key set at a configured URL; no redirect, 64 KiB and 2 s at most."""
    deadline = time.monotonic() + KEYS_SECONDS
    # A key set of before the rotation, out of some cache on the way, would undo the look.
    headers = {"Accept": "application/jwk-set+json, application/json", "Cache-Control": "no-cache"}
    result = in_parallel({"keys": lambda: download(url, headers, deadline, KEYS_BYTES, ca_file)}, deadline).get("keys")
    if isinstance(result, bytes):
        return result
    raise result or FetchError("timeout")


class Issuer:
    """One `[[clients]]` entry, with its keys."""

    def __init__(self, settings: ClientSettings, clock: Callable[[], float], ca_file: str | None = None) -> None:
        self.settings = settings
        self._ca_file = ca_file
        named = f"clients ({settings.issuer})"
        unknown = set(settings.algorithms) - set(ALGORITHMS)
        if unknown or not settings.algorithms:
            raise SettingsError(f"{named}: algorithms may be {', '.join(ALGORITHMS)}")
        if any(len(tenant) > LONGEST_TENANT or not tenant for tenant in settings.tenants):
            raise SettingsError(f"{named}: a tenant has 1 to {LONGEST_TENANT} characters")
        for server in settings.fhir_servers:
            _check_url(server, f"{named}: fhir_servers")
        self.rings = tuple(self._rings(named, clock))
        if not self.rings:
            raise SettingsError(f"{named}: needs keys_file or jku, to check signatures with")

    def _rings(self, named: str, clock: Callable[[], float]) -> Iterator[KeyRing]:
        if path := self.settings.keys_file:
            ring = KeyRing(Path(path).read_bytes, clock)
            try:
                ring.look()
            except OSError as error:
                raise SettingsError(f"{named}: keys_file {path} cannot be read: {error.strerror}") from error
            except KeySetError as error:
                raise SettingsError(f"{named}: keys_file {path} is not a key set: {error}. {KEYS_CURE}") from error
            if not ring.kids:
                raise SettingsError(
                    f"{named}: keys_file {path} holds no usable key: each needs a `kid` of its own and must be"
                    f" public, for signatures, RSA of 2048 bits or more, P-384 or P-256. {KEYS_CURE}"
                )
            yield ring
        if url := self.settings.jku:
            _check_url(url, f"{named}: jku")
            yield KeyRing(lambda: _fetch_keys(url, self._ca_file), clock)

    def kids(self) -> list[str]:
        """The ids of all usable keys, as they were last read."""
        return sorted({kid for ring in self.rings for kid in ring.kids})

    def faults(self) -> list[str]:
        """Why key sets could not be read when they were last looked at."""
        return [ring.fault for ring in self.rings if ring.fault]

    def find(self, kid: str) -> Key | None:
        """The key of this id, from whichever of its key sets has it."""
        return next((key for ring in self.rings if (key := ring.find(kid))), None)


def _check_url(url: str, named: str) -> None:
    base = base_of(url)
    if base is None:
        raise SettingsError(f"{named}: must be plain https URLs, without query, user or escapes")
    if base.scheme != "https" and not is_loopback(base.host):
        raise SettingsError(f"{named}: must be https; http is for this machine only")
