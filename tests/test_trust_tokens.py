"""Signed calls: which tokens open the door, which do not, and what is said of them."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import math
import multiprocessing
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from flask import Flask, g
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from hooks import errors
from hooks.settings import ClientSettings, Settings, SettingsError
from hooks.store.database import StoreUnavailable
from hooks.store.store import Store, open_store
from hooks.trust import keys
from hooks.trust import tokens as trust
from hooks.trust.clients import ALGORITHMS, Client, KeyRing, KeySetError, read_keys
from hooks.trust.keys import new_key, public_jwk, signed_token
from hooks.trust.tokens import Authenticator, NotAuthenticated
from tests import fhir_servers as fhir
from tests.fhir_servers import Server, serving
from tests.floors import measured

PUBLIC = "https://cds.example"
ENDPOINT = f"{PUBLIC}/cds-services/oncobone-order-sign"
ISSUER = "https://ehr.example"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
THEN = NOW.timestamp()

ES384 = new_key("ES384")
ES256 = new_key("ES256")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = new_key("ES384")
assert isinstance(ES384, ec.EllipticCurvePrivateKey)
CURVED: ec.EllipticCurvePrivateKey = ES384
JWKS = {"keys": [public_jwk(ES384, "ES384", "es"), public_jwk(RSA, "RS384", "rs"), public_jwk(ES256, "ES256", "es256")]}


def configured(tmp_path: Path, jwks: Any = JWKS, **client: Any) -> Settings:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks))
    fields: dict[str, Any] = {"issuer": ISSUER, "keys_file": path, "fhir_servers": ("https://ehr.example/fhir",)}
    return Settings(auth="signed", public_url=PUBLIC, clients=(ClientSettings(**(fields | client)),))


@pytest.fixture
def door(tmp_path: Path) -> Authenticator:
    return Authenticator(configured(tmp_path))


def token(key: Any = ES384, alg: str = "ES384", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A good token, but for what is changed; `...` leaves a claim out."""
    good = {
        "iss": ISSUER,
        "aud": ENDPOINT,
        "iat": int(THEN),
        "exp": int(THEN) + 300,
        "jti": str(time.perf_counter_ns()),
    }
    kept = {name: value for name, value in (good | claims).items() if value is not ...}
    return jwt.encode(kept, key, algorithm=alg, headers={"kid": "es"} | (header or {}))


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"x") -> str:
    """A token that no library would make."""
    return ".".join(map(encoded, (json.dumps(header).encode(), json.dumps(claims).encode(), signature)))


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def refused(door: Authenticator, text: str | None, endpoint: str = ENDPOINT, now: datetime = NOW) -> str:
    """The cause for which a token is refused."""
    header = None if text is None else f"Bearer {text}"
    with pytest.raises(NotAuthenticated) as refusal:
        door.authenticate(header, endpoint, now)
    return refusal.value.cause


# Good tokens


def test_a_good_token_tells_who_calls(door: Authenticator) -> None:
    client = door.authenticate(f"Bearer {token()}", ENDPOINT, NOW)
    assert client == Client(ISSUER, ISSUER, ("https://ehr.example/fhir",), 500.0)


@pytest.mark.parametrize(
    "text",
    [
        lambda: token(RSA, "RS384", {"kid": "rs"}),
        lambda: token(aud=[ENDPOINT]),
        lambda: token(aud=["https://other.example", ENDPOINT]),
        lambda: token(nbf=THEN),
        lambda: token(sub="someone", unknown={"x": [1]}),
        lambda: token(header={"typ": "jwt"}),
        lambda: token(iat=THEN - 300, exp=THEN - 59),
        lambda: token(iat=THEN + 59, exp=THEN + 300),
        lambda: token(iat=THEN, exp=THEN + 3600),
        lambda: token(iat=THEN + 0.5, exp=THEN + 300.25),
        lambda: token(tenant="anybody"),
    ],
)
def test_what_the_specification_allows_is_let_in(door: Authenticator, text: Callable[[], str]) -> None:
    assert door.authenticate(f"bearer  {text()} ", ENDPOINT, NOW).issuer == ISSUER


def test_algorithms_of_256_bits_are_let_in_where_they_are_configured(tmp_path: Path) -> None:
    jwks = {"keys": [public_jwk(ES256, "ES256", "es256"), {**public_jwk(RSA, "RS256", "rs")}]}
    door = Authenticator(configured(tmp_path, jwks, algorithms=("ES256", "RS256")))
    assert door.authenticate(f"Bearer {token(ES256, 'ES256', {'kid': 'es256'})}", ENDPOINT, NOW)
    assert door.authenticate(f"Bearer {token(RSA, 'RS256', {'kid': 'rs'})}", ENDPOINT, NOW)


def test_a_kid_is_an_opaque_text(tmp_path: Path) -> None:
    kid = "../../etc/passwd+/= ü"
    door = Authenticator(configured(tmp_path, {"keys": [public_jwk(ES384, "ES384", kid)]}))
    assert door.authenticate(f"Bearer {token(header={'kid': kid})}", ENDPOINT, NOW)


# Forged and broken ones


def confused() -> str:
    """Signed with HMAC, the public key as the secret."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = by_hand({"alg": "HS256", "typ": "JWT", "kid": "rs"}, claims_of(token())).rpartition(".")[0]
    return f"{unsigned}.{encoded(hmac.digest(pem, unsigned.encode(), 'sha256'))}"


def claims_of(text: str) -> dict[str, Any]:
    return dict(jwt.decode(text, options={"verify_signature": False}))


def changed(text: str, **claims: Any) -> str:
    """A signed token whose claims were changed afterwards."""
    head, _, signature = text.split(".")
    return f"{head}.{encoded(json.dumps(claims_of(text) | claims).encode())}.{signature}"


def by_signature(header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Well signed, with members that a library would not write; `...` leaves one out of the header."""
    members = {"alg": "ES384", "typ": "JWT", "kid": "es"} | (header or {})
    head = {name: value for name, value in members.items() if value is not ...}
    unsigned = by_hand(head, claims_of(token()) | claims).rpartition(".")[0]
    return f"{unsigned}.{encoded(jwt.get_algorithm_by_name('ES384').sign(unsigned.encode(), ES384))}"


def twice() -> str:
    """Names its issuer twice; parsers disagree about which one counts."""
    payload = f'{{"iss": "https://evil.example", {json.dumps(claims_of(token()))[1:]}'
    return str(jwt.PyJWS().encode(payload.encode(), ES384, algorithm="ES384", headers={"kid": "es"}))


def written(payload: str, encoding: str = "utf-8", header: str = "utf-8") -> str:
    """Well signed, its payload and header in an encoding of choice."""
    head = json.dumps({"alg": "ES384", "typ": "JWT", "kid": "es"}).encode(header)
    unsigned = f"{encoded(head)}.{encoded(payload.encode(encoding))}"
    return f"{unsigned}.{encoded(jwt.get_algorithm_by_name('ES384').sign(unsigned.encode(), ES384))}"


def good_payload(**texts: str) -> str:
    """The claims of a good token as JSON, with members whose JSON is given as it stands."""
    members = {name: json.dumps(value) for name, value in claims_of(token()).items()} | texts
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members.items()) + "}"


def by_numbers(r: int, s: int, length: int = 48) -> str:
    """An ECDSA signature of chosen numbers."""
    unsigned = token().rpartition(".")[0]
    return f"{unsigned}.{encoded(r.to_bytes(length, 'big') + s.to_bytes(length, 'big'))}"


def in_der() -> str:
    """The right signature in the other way of writing one."""
    unsigned = token().rpartition(".")[0]
    return f"{unsigned}.{encoded(CURVED.sign(unsigned.encode(), ec.ECDSA(hashes.SHA384())))}"


def padded_otherwise() -> str:
    """RSA's other padding (PS384) under the name of RS384."""
    unsigned = by_hand({"alg": "RS384", "kid": "rs"}, claims_of(token())).rpartition(".")[0]
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    return f"{unsigned}.{encoded(RSA.sign(unsigned.encode(), pss, hashes.SHA384()))}"


ORDER = int("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16)

FORGED: dict[str, tuple[Callable[[], str | None], str]] = {
    "no token": (lambda: None, "no-token"),
    "an empty one": (lambda: "", "malformed"),
    "a word": (lambda: "token", "malformed"),
    "five parts": (lambda: token() + ".a.b", "malformed"),
    "no signature": (lambda: token().rpartition(".")[0] + ".", "malformed"),
    "a list as payload": (lambda: by_hand({"alg": "ES384"}, [1]), "malformed"),  # type: ignore[arg-type] # meant wrong
    "claims nested without end": (lambda: f"e30.{encoded(b'[' * 9000)}.x", "malformed"),
    "an issuer twice": (twice, "malformed"),
    "longer than any": (lambda: token(x="y" * 20_000), "malformed"),
    "alg none": (lambda: by_hand({"alg": "none", "typ": "JWT", "kid": "es"}, claims_of(token())), "algorithm"),
    "alg NonE": (lambda: by_hand({"alg": "NonE", "typ": "JWT", "kid": "es"}, claims_of(token())), "algorithm"),
    "alg missing": (lambda: by_hand({"typ": "JWT", "kid": "es"}, claims_of(token())), "algorithm"),
    "alg a list": (lambda: by_hand({"alg": ["ES384"], "kid": "es"}, claims_of(token())), "algorithm"),
    "HMAC with the public key": (confused, "algorithm"),
    "an algorithm not configured": (lambda: token(ES256, "ES256", {"kid": "es256"}), "algorithm"),
    "an algorithm of another key": (lambda: token(RSA, "RS384", {"kid": "es"}), "algorithm"),
    "in UTF-16": (lambda: written(good_payload(), "utf-16"), "malformed"),
    "in UTF-32": (lambda: written(good_payload(), "utf-32"), "malformed"),
    "behind a byte-order mark": (lambda: written(good_payload(), "utf-8-sig"), "malformed"),
    "a header in UTF-16": (lambda: written(good_payload(), header="utf-16-le"), "malformed"),
    "a number that is no JSON": (lambda: written(good_payload(x="NaN")), "malformed"),
    "exp 1e400": (lambda: written(good_payload(exp="1e400")), "times"),
    "exp of five thousand digits": (lambda: written(good_payload(exp="9" * 5000)), "malformed"),
    "a claim twice, once escaped": (lambda: written(good_payload()[:-1] + ',"\\u0069ss":"x"}'), "malformed"),
    "a token in a token": (lambda: written(json.dumps(token())), "malformed"),
    "compressed": (lambda: written(zlib.compress(good_payload().encode()).decode("latin-1"), "latin-1"), "malformed"),
    "a signature of noughts": (lambda: by_numbers(0, 0), "signature"),
    "a signature of the order": (lambda: by_numbers(ORDER, ORDER), "signature"),
    "a signature of another curve's length": (lambda: by_numbers(0, 0, 66), "signature"),
    "a signature in DER": (in_der, "signature"),
    "RSA's other padding": (padded_otherwise, "signature"),
    "a foreign key": (lambda: token(OTHER), "signature"),
    "changed claims": (lambda: changed(token(), tenant="other"), "signature"),
    "a cut signature": (lambda: token()[:-8], "signature"),
    "kid unknown": (lambda: token(header={"kid": "nobody"}), "key"),
    "kid missing": (lambda: by_signature({"kid": ...}), "key"),
    "kid null": (lambda: by_signature({"kid": None}), "key"),
    "a key of its own": (lambda: token(OTHER, header={"jwk": public_jwk(OTHER, "ES384"), "kid": "own"}), "key"),
    "certificates of its own": (lambda: token(OTHER, header={"x5c": ["x"], "x5u": "https://a.example"}), "signature"),
    "a jku": (lambda: token(header={"jku": "https://evil.example/jwks"}), "jku"),
    "an unknown crit": (lambda: token(header={"crit": ["exp2"], "exp2": 1}), "critical"),
    "an empty crit": (lambda: by_signature({"crit": []}), "critical"),
    "a detached payload": (lambda: by_signature({"b64": False}), "critical"),
    "another type": (lambda: token(header={"typ": "at+jwt"}), "type"),
    "iss unknown": (lambda: token(iss="https://evil.example"), "issuer"),
    "iss missing": (lambda: token(iss=...), "issuer"),
    "iss with a slash more": (lambda: token(iss=ISSUER + "/"), "issuer"),
    "aud missing": (lambda: token(aud=...), "audience"),
    "aud the base": (lambda: token(aud=PUBLIC), "audience"),
    "aud another service": (lambda: token(aud=f"{PUBLIC}/cds-services/oncobone-patient-view"), "audience"),
    "aud with two slashes more": (lambda: token(aud=ENDPOINT + "//"), "audience"),
    "aud another case": (lambda: token(aud=ENDPOINT.upper()), "audience"),
    "aud an object": (lambda: by_signature(aud={ENDPOINT: 1}), "audience"),
    "exp missing": (lambda: token(exp=...), "times"),
    "iat missing": (lambda: token(iat=...), "times"),
    "exp a text": (lambda: by_signature(exp=str(THEN + 300)), "times"),
    "exp true": (lambda: by_signature(exp=True), "times"),
    "exp infinite": (lambda: by_signature(exp=math.inf), "malformed"),
    "exp not a number": (lambda: by_signature(exp=math.nan), "malformed"),
    "nbf a text": (lambda: by_signature(nbf="now"), "times"),
    "expired": (lambda: token(iat=THEN - 300, exp=THEN - 60), "expired"),
    "made in the future": (lambda: token(iat=THEN + 61, exp=THEN + 300), "early"),
    "not yet valid": (lambda: token(nbf=THEN + 61), "early"),
    "valid for an hour and a second": (lambda: token(exp=THEN + 3601), "lifetime"),
    "valid for ten years": (lambda: token(exp=THEN + 10 * 365 * 86400), "lifetime"),
    "expired before it was made": (lambda: token(iat=THEN + 30, exp=THEN + 10), "lifetime"),
    "jti missing": (lambda: token(jti=...), "jti"),
    "jti empty": (lambda: token(jti=""), "jti"),
    "jti a number": (lambda: by_signature(jti=7), "jti"),
    "jti without end": (lambda: token(jti="x" * 257), "jti"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_or_broken_token_is_refused(door: Authenticator, name: str) -> None:
    make, cause = FORGED[name]
    assert refused(door, make()) == cause


@pytest.mark.parametrize("scheme", ["Basic", "DPoP", "Bearer:", "BearerX", ""])
def test_another_scheme_than_bearer_is_refused(door: Authenticator, scheme: str) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        door.authenticate(f"{scheme} {token()}", ENDPOINT, NOW)
    assert refusal.value.cause == "not-bearer", "the token itself may be good"


@pytest.mark.parametrize(
    ("made", "cure"),
    [
        ({"iat": THEN - 900, "exp": THEN - 600}, "set the clock of the machine that makes it"),
        ({"iat": THEN + 600, "exp": THEN + 900}, "Set both clocks by the network's time"),
        ({"iat": THEN * 1000, "exp": THEN * 1000 + 300_000}, "not milliseconds"),
        ({"iss": f"{ISSUER}/"}, "letter by letter with `issuer` in [[clients]]"),
        ({"header": {"kid": "typo"}}, "Sign with one of these, or put the public key of this `kid` into that key set"),
        ({"aud": PUBLIC}, "must be the URL that is called"),
    ],
)
def test_what_is_wrong_with_a_token_is_said_with_its_cure(door: Authenticator, made: dict[str, Any], cure: str) -> None:
    told = [problem.text for problem in door.inspect(token(**made), ENDPOINT, NOW).problems()]
    assert any(cure in text for text in told), told


def test_two_tokens_in_one_header_are_refused(door: Authenticator) -> None:
    with pytest.raises(NotAuthenticated):
        door.authenticate(f"Bearer {token()}, Bearer {token()}", ENDPOINT, NOW)


def test_every_refusal_reads_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    errors.register(app, print)
    check = trust.gate(configured(tmp_path), None, lambda: NOW)
    causes: list[str] = []

    @app.get("/cds-services/oncobone-order-sign")
    def call() -> dict[str, str]:
        return {"tenant": check("/cds-services/oncobone-order-sign").tenant}

    @app.after_request
    def noted(response: Any) -> Any:
        causes.append(g.get("refusal", ""))
        return response

    client = app.test_client()
    answers = set()
    with caplog.at_level(logging.DEBUG):
        for make, _ in FORGED.values():
            text = make()
            answer = client.get(
                "/cds-services/oncobone-order-sign", headers={} if text is None else {"Authorization": f"Bearer {text}"}
            )
            answers.add((answer.status_code, answer.get_data(), answer.headers["WWW-Authenticate"]))
            assert not text or text not in caplog.text
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401
    assert set(causes) == {cause for _, cause in FORGED.values()}
    good = client.get("/cds-services/oncobone-order-sign", headers={"Authorization": f"Bearer {token()}"})
    assert good.get_json() == {"tenant": ISSUER}


# Tenants, endpoints


def test_a_tenant_must_be_one_that_the_client_may_speak_for(tmp_path: Path) -> None:
    settings = Settings(
        auth="signed",
        public_url=PUBLIC,
        clients=(
            configured(tmp_path, tenants=("a", "b"), fhir_servers=("https://a.example/fhir",)).clients[0],
            configured(tmp_path, tenants=("c",), fhir_servers=("https://c.example/fhir",)).clients[0],
        ),
    )
    door = Authenticator(settings)
    for tenant, server in (("a", "https://a.example/fhir"), ("c", "https://c.example/fhir")):
        client = door.authenticate(f"Bearer {token(tenant=tenant)}", ENDPOINT, NOW)
        assert (client.tenant, client.fhir_servers) == (tenant, (server,))
    assert refused(door, token(tenant="d")) == "tenant"
    assert refused(door, token()) == "tenant"
    assert refused(door, token(tenant=["a"])) == "tenant"


def test_a_slash_at_the_end_of_an_audience_or_an_address_changes_nothing(tmp_path: Path) -> None:
    door = Authenticator(configured(tmp_path))
    for aud in (ENDPOINT, f"{ENDPOINT}/", [PUBLIC, f"{ENDPOINT}/"]):
        for called in (ENDPOINT, f"{ENDPOINT}/"):
            assert door.authenticate(f"Bearer {token(aud=aud)}", called, NOW)
    wrong: tuple[Any, ...] = (f"{ENDPOINT}//", f"{ENDPOINT}/x/", [1], {"a": ENDPOINT}, f"{PUBLIC}/")
    for other in wrong:
        assert refused(door, token(aud=other)) == "audience"


def test_a_feedback_token_is_for_the_feedback_url_unless_a_site_says_otherwise(tmp_path: Path) -> None:
    feedback = f"{ENDPOINT}/feedback"
    door = Authenticator(configured(tmp_path))
    assert refused(door, token(), endpoint=feedback) == "audience"
    assert door.authenticate(f"Bearer {token(aud=feedback)}", feedback, NOW)
    lenient = Authenticator(configured(tmp_path, feedback_audience="service"))
    assert lenient.authenticate(f"Bearer {token()}", feedback, NOW)
    assert lenient.authenticate(f"Bearer {token(aud=feedback)}", feedback, NOW)
    assert refused(lenient, token(aud=feedback)) == "audience"


@pytest.mark.parametrize(
    ("client", "told"),
    [
        ({"algorithms": ("HS256",)}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"algorithms": ()}, "algorithms"),
        ({"keys_file": None}, "keys_file or jku"),
        ({"keys_file": Path("/no/such/file")}, "cannot be read"),
        ({"jku": "http://ehr.example/jwks"}, "https"),
        ({"fhir_servers": ("http://ehr.example/fhir",)}, "https"),
        ({"fhir_servers": ("https://ehr.example/fhir?x",)}, "plain"),
        ({"tenants": ("",)}, "tenant"),
    ],
)
def test_a_client_that_cannot_be_checked_is_refused_at_the_start(tmp_path: Path, client: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Authenticator(configured(tmp_path, **client))


def test_a_file_that_is_no_key_set_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a key set"):
        Authenticator(configured(tmp_path, jwks=[1]))


# Replay


def test_a_token_opens_the_door_once(tmp_path: Path, store: Store) -> None:
    door = Authenticator(configured(tmp_path), store)
    text = token()
    assert door.authenticate(f"Bearer {text}", ENDPOINT, NOW)
    assert refused(door, text) == "replay"


def test_a_stranger_cannot_use_up_a_token_id(tmp_path: Path, store: Store) -> None:
    door = Authenticator(configured(tmp_path), store)
    assert refused(door, token(OTHER, jti="mine")) == "signature"
    assert door.authenticate(f"Bearer {token(jti='mine')}", ENDPOINT, NOW)


def test_of_twenty_parallel_copies_one_is_let_in_while_the_store_is_down(tmp_path: Path, store: Store) -> None:
    door = Authenticator(configured(tmp_path), store)
    down(store)
    text = token()
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda _: let_in(door, text), range(20)))
    assert outcomes.count(True) == 1


def test_a_token_used_while_the_store_was_down_is_not_good_again_afterwards(tmp_path: Path, store: Store) -> None:
    door = Authenticator(configured(tmp_path), store)
    run = store._run
    down(store)
    text = token()
    assert let_in(door, text)
    store._run = run  # type: ignore[method-assign] # as it was
    assert refused(door, text) == "replay"


def test_tokens_used_while_the_store_was_down_are_used_for_other_processes_too_when_it_is_back(
    tmp_path: Path, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "HANDED_OVER", 2)
    other = open_store(database_url, audit_key_file=tmp_path / "key")
    here, elsewhere = (Authenticator(configured(tmp_path), each) for each in (store, other))
    run = store._run
    down(store)
    texts = [token() for _ in range(4)]
    assert all(let_in(here, text) for text in texts)
    store._run = run  # type: ignore[method-assign] # as it was
    handed_over = store.mark_used

    def fails(_: object) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(StoreUnavailable("down"))
        return failed

    monkeypatch.setattr(store, "mark_used", fails)  # the first try fails, and is made again
    assert let_in(here, token())
    monkeypatch.setattr(store, "mark_used", handed_over)
    assert all(let_in(here, token()) for _ in range(3))
    assert not any(let_in(elsewhere, text) for text in texts)
    assert not here._memory.untold
    other.close()


def test_feedback_is_not_taken_while_replay_cannot_be_ruled_out(tmp_path: Path, store: Store) -> None:
    door = Authenticator(configured(tmp_path), store)
    down(store)
    with pytest.raises(StoreUnavailable):
        door.authenticate(f"Bearer {token()}", ENDPOINT, NOW, must_record=True)


def down(store: Store) -> None:
    def fails(*_: object, **__: object) -> None:
        raise StoreUnavailable("down")

    store._run = fails  # type: ignore[method-assign,assignment] # stands in for a database that is gone


def let_in(door: Authenticator, text: str, now: datetime = NOW) -> bool:
    try:
        door.authenticate(f"Bearer {text}", ENDPOINT, now)
    except NotAuthenticated:
        return False
    return True


def _try_copies(url: str, directory: str, text: str, start: float, let: multiprocessing.SimpleQueue[int]) -> None:
    path = Path(directory)
    door = Authenticator(
        configured(path / "keys", json.loads((path / "keys.json").read_text())),
        open_store(url, audit_key_file=path / "key"),
    )
    time.sleep(max(0.0, start - time.time()))
    with ThreadPoolExecutor(10) as pool:
        let.put(sum(pool.map(lambda _: let_in(door, text, datetime.now(UTC)), range(10))))


def test_of_twenty_copies_on_two_processes_one_is_let_in(tmp_path: Path, database_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    let: multiprocessing.SimpleQueue[int] = spawn.SimpleQueue()
    (tmp_path / "keys.json").write_text(json.dumps(JWKS))
    processes = []
    for n in range(2):
        directory = tmp_path / str(n)
        (directory / "keys").mkdir(parents=True)
        (directory / "keys.json").write_text(json.dumps(JWKS))
    text = token(iat=int(time.time()), exp=int(time.time()) + 300)
    start = time.time() + 4
    for n in range(2):
        arguments = (database_url, str(tmp_path / str(n)), text, start, let)
        processes.append(spawn.Process(target=_try_copies, args=arguments))
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    let_in_of_both = let.get() + let.get()
    measured(f"of 20 copies on two processes {let_in_of_both} was let in")
    assert let_in_of_both == 1


# Key sets


def jwk_of_length(bits: int) -> dict[str, Any]:
    return public_jwk(rsa.generate_private_key(public_exponent=65537, key_size=bits), "RS384", "short")


def private_jwk() -> dict[str, Any]:
    made: dict[str, Any] = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()), as_dict=True)
    return made | {"kid": "private"}


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS384"},
        {"kty": "RSA", "kid": "a"},
        {"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"},
        {"kty": ["RSA"], "kid": "a"},
        {"kid": "a"},
        7,
        public_jwk(ES384, "ES384") | {"kid": 7},
        public_jwk(ES384, "ES384") | {"kid": None},
        public_jwk(ES384, "ES384", "a") | {"use": "enc"},
        public_jwk(ES384, "ES384", "a") | {"key_ops": ["encrypt"]},
        public_jwk(ES384, "ES384", "a") | {"key_ops": 7},
        public_jwk(ES384, "ES384", "a") | {"alg": "ES256"},
        public_jwk(ES384, "ES384", "a") | {"crv": "P-256"},
        public_jwk(ES384, "ES384", "a") | {"x": "AAAA"},
        OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True) | {"kid": "a"},
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP521R1()).public_key(), as_dict=True) | {"kid": "a"},
    ],
)  # fmt: skip
def test_a_key_that_must_not_verify_is_left_out(jwk: Any) -> None:
    document = json.dumps({"keys": [jwk, public_jwk(RSA, "RS384", "good")]}).encode()
    assert set(read_keys(document)) == {"good"}


def test_short_rsa_keys_and_private_keys_are_left_out() -> None:
    assert read_keys(json.dumps({"keys": [jwk_of_length(1024), private_jwk()]}).encode()) == {}


def test_a_kid_that_stands_for_two_keys_stands_for_none() -> None:
    two = {"keys": [public_jwk(ES384, "ES384", "same"), public_jwk(OTHER, "ES384", "same")]}
    assert read_keys(json.dumps(two).encode()) == {}


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": {}}', b"[" * 60_000, b"x" * 65_537, b'{"keys": [' + b"1," * 50 + b"1]}"]
)
def test_what_is_no_key_set_is_told_apart(document: bytes) -> None:  # fmt: skip
    with pytest.raises(KeySetError):
        read_keys(document)


class Published:
    """A key set at a URL, and how often it was fetched."""

    def __init__(self) -> None:
        self.keys: Any = JWKS
        self.fault: fhir.Answer | None = None

    def __call__(self, handler: fhir.Handler) -> None:
        if self.fault:
            self.fault(handler)
        else:
            handler.send(fhir.as_json(self.keys))


@pytest.fixture
def published() -> Iterator[tuple[Published, Server]]:
    answer = Published()
    with serving(answer) as server:
        yield answer, server


def test_a_rotated_key_is_found_at_once_and_without_a_restart(
    tmp_path: Path, published: tuple[Published, Server]
) -> None:
    answer, server = published
    settings = configured(tmp_path, keys_file=None, jku=f"{server.base}/jwks")
    door = Authenticator(settings, clock=lambda: 0.0)
    assert let_in(door, token(header={"jku": f"{server.base}/jwks"}))
    answer.keys = {"keys": [public_jwk(OTHER, "ES384", "next")]}
    assert let_in(door, token(OTHER, header={"kid": "next"}))
    assert not let_in(door, token())  # the old key is gone
    assert len(server.seen) == 2
    assert server.seen[-1][1]["Cache-Control"] == "no-cache"


def test_whoever_invents_key_ids_floods_nobody_and_keeps_a_rotated_key_out_for_ten_seconds_at_most(
    tmp_path: Path, published: tuple[Published, Server]
) -> None:
    answer, server = published
    now = [0.0]
    door = Authenticator(configured(tmp_path, keys_file=None, jku=f"{server.base}/jwks"), clock=lambda: now[0])
    assert let_in(door, token())
    for second in range(60):
        now[0] = float(second)
        if second == 31:
            answer.keys = {"keys": [public_jwk(OTHER, "ES384", "next")]}
        assert not any(let_in(door, token(header={"kid": f"random-{second}-{n}"})) for n in range(20))
        if second >= 41:
            assert let_in(door, token(OTHER, header={"kid": "next"})), second
    assert len(server.seen) <= 2 + 6


def test_a_thousand_unknown_kids_are_two_fetches_at_most(
    tmp_path: Path, published: tuple[Published, Server]
) -> None:  # fmt: skip
    _, server = published
    door = Authenticator(configured(tmp_path, keys_file=None, jku=f"{server.base}/jwks"))
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda n: let_in(door, token(header={"kid": f"random-{n}"})), range(1000)))
    assert not any(outcomes)
    assert len(server.seen) <= 2
    assert let_in(door, token())


def test_known_keys_stay_good_for_a_day_while_the_key_set_is_down(
    tmp_path: Path, published: tuple[Published, Server]
) -> None:  # fmt: skip
    answer, server = published
    now = [0.0]
    door = Authenticator(configured(tmp_path, keys_file=None, jku=f"{server.base}/jwks"), clock=lambda: now[0])
    assert let_in(door, token())
    answer.fault = fhir.status(500)
    for now[0] in (599, 601, 700, 24 * 3600 - 1):
        assert let_in(door, token())
    now[0] = 24 * 3600
    assert refused(door, token()) == "key"
    answer.fault = None
    now[0] += 10
    assert let_in(door, token())


@pytest.mark.parametrize(
    "fault",
    [fhir.status(404), fhir.redirect_to("/elsewhere"), fhir.html, fhir.huge, fhir.drip, fhir.reset, fhir.gzip_bomb,
     lambda handler: handler.send(fhir.as_json({"keys": [{"kty": "oct", "kid": "es", "k": "AAAA"}]}))],
)  # fmt: skip
def test_a_key_set_that_cannot_be_had_lets_nobody_in(
    tmp_path: Path, published: tuple[Published, Server], fault: fhir.Answer
) -> None:
    answer, server = published
    answer.fault = fault
    door = Authenticator(configured(tmp_path, keys_file=None, jku=f"{server.base}/jwks"))
    started, worked = time.monotonic(), time.process_time()
    assert refused(door, token()) == "key"
    assert time.process_time() - worked < 1, "a bomb of a key set is not unpacked"
    assert time.monotonic() - started < 10, "a set that drips is not waited for"
    assert len(server.seen) == 1


def test_nothing_that_a_token_names_is_ever_fetched(tmp_path: Path, published: tuple[Published, Server]) -> None:
    _, server = published
    door = Authenticator(configured(tmp_path))
    evil = f"{server.base}/jwks"
    for header in ({"jku": evil}, {"x5u": evil}, {"jku": evil, "kid": "new"}, {"jwk": {"kid": evil}}, {"kid": evil}):
        refused(door, token(OTHER, header=header))
    assert server.connections == 0


def test_calls_do_not_wait_for_a_slow_key_server_while_they_have_a_key() -> None:
    now = [0.0]
    document = json.dumps(JWKS).encode()
    slow = [0.0]

    def load() -> bytes:
        time.sleep(slow[0])
        return document

    ring = KeyRing(load, lambda: now[0])
    assert ring.find("es")
    now[0], slow[0] = 601, 0.5
    with ThreadPoolExecutor(8) as pool:
        start = time.monotonic()
        took = list(pool.map(lambda _: (ring.find("es") is not None, time.monotonic() - start), range(8)))
    assert all(found for found, _ in took)
    assert sorted(seconds for _, seconds in took)[6] < 0.4  # seven go on, one looks


def test_a_key_file_that_was_exchanged_is_read_again(tmp_path: Path) -> None:
    now = [0.0]
    door = Authenticator(configured(tmp_path), clock=lambda: now[0])
    configured(tmp_path, {"keys": [public_jwk(OTHER, "ES384", "next")]})
    assert let_in(door, token(OTHER, header={"kid": "next"}))


# The commands


def test_the_keys_that_oncobone_makes_open_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    for algorithm in ALGORITHMS:
        directory = tmp_path / algorithm
        assert run(keys.commands, ["new", "--algorithm", algorithm, "--out", str(directory)]).exit_code == 0
        assert (directory / "private-key.pem").stat().st_mode & 0o777 == 0o600
        assert '"d"' not in (directory / "jwks.json").read_text()
        again = run(keys.commands, ["new", "--out", str(directory)])
        assert again.exit_code == 1
        assert "not overwritten" in again.output
        arguments = ["--key", str(directory / "private-key.pem"), "--issuer", ISSUER, "--audience", ENDPOINT]
        made = run(keys.commands, ["token", *arguments, "--algorithm", algorithm]).output.strip()
        settings = Settings(
            auth="signed",
            public_url=PUBLIC,
            clients=(ClientSettings(issuer=ISSUER, keys_file=directory / "jwks.json", algorithms=(algorithm,)),),
        )
        assert Authenticator(settings).authenticate(f"Bearer {made}", ENDPOINT, datetime.now(UTC))


def test_a_rotation_adds_the_new_key_to_the_set_in_one_step_and_breaks_none(tmp_path: Path) -> None:
    run = CliRunner().invoke
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(keys.commands, ["new", "--out", str(first)]).exit_code == 0
    key_set = first / "jwks.json"
    settings = Settings(auth="signed", public_url=PUBLIC, clients=(ClientSettings(issuer=ISSUER, keys_file=key_set),))
    door = Authenticator(settings)
    added = run(keys.commands, ["new", "--out", str(second), "--add-to", str(key_set)])
    assert added.exit_code == 0, added.output
    assert not (second / "jwks.json").exists()
    assert '"d"' not in key_set.read_text()
    for folder in (second, first):  # the new one at once, the old one still
        arguments = ["--key", str(folder / "private-key.pem"), "--issuer", ISSUER, "--audience", ENDPOINT]
        made = run(keys.commands, ["token", *arguments]).output.strip()
        assert door.authenticate(f"Bearer {made}", ENDPOINT, datetime.now(UTC))
    key_set.write_text("[]")
    refused_one = run(keys.commands, ["new", "--out", str(tmp_path / "third"), "--add-to", str(key_set)])
    assert refused_one.exit_code == 1
    assert "is not a key set" in refused_one.output
    assert not (tmp_path / "third").exists(), "nothing is made before it is sure"


def test_explain_without_clients_says_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONCOBONE_CONFIG", raising=False)
    told = CliRunner().invoke(keys.commands, ["explain", "a.b.c", "--endpoint", "/cds-services/x"])
    assert told.exit_code == 1
    assert "--config or ONCOBONE_CONFIG" in told.output


def test_explain_says_all_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(JWKS))
    config = tmp_path / "oncobone.toml"
    config.write_text(
        f'auth = "signed"\npublic_url = "{PUBLIC}"\ndatabase_url = "sqlite:///{tmp_path / "store.sqlite"}"\n'
        f'[[clients]]\nissuer = "{ISSUER}"\nkeys_file = "{tmp_path / "jwks.json"}"\n'
    )
    monkeypatch.setenv("ONCOBONE_CONFIG", str(config))
    run = CliRunner().invoke
    path = "/cds-services/oncobone-order-sign"
    bad = signed_token(OTHER, ISSUER, PUBLIC, kid="es", now=time.time() - 4000)
    told = run(keys.commands, ["explain", bad, "--endpoint", path])
    assert told.exit_code == 1
    for cause in ("signature", "audience", "expired"):
        assert f"REFUSED ({cause})" in told.output
    good = signed_token(ES384, ISSUER, ENDPOINT, kid="es")
    told = run(keys.commands, ["explain", "-", "--endpoint", path], input=f"Bearer {good}\n")
    assert told.exit_code == 0, told.output
    claims = claims_of(good)
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.seen_token(ISSUER, claims["jti"], claims["exp"])
    store.close()
    told = run(keys.commands, ["explain", good, "--endpoint", ENDPOINT])
    assert told.exit_code == 1
    assert "REFUSED (replay)" in told.output
    assert run(keys.commands, ["explain", "rubbish", "--endpoint", path]).exit_code == 1
