"""What an engineer needs to get signed calls going: a client's key set, a test token, and why a token was refused."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from hooks.configuration import load
from hooks.settings import Settings, SettingsError
from hooks.store.chain import AuditKeyError
from hooks.store.database import StoreError, StoreUnavailable
from hooks.store.store import existing_store
from hooks.terminal import InputFile, config_option, json_option, show_json
from hooks.trust.clients import ALGORITHMS
from hooks.trust.tokens import LONGEST_LIFE, Authenticator, Inspection

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

# A JWK's members that its thumbprint is made of (RFC 7638).
_THUMBPRINT: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
RSA_BITS: Final = 3072


def new_key(algorithm: str) -> PrivateKey:
    """A private key for an algorithm: P-384, P-256 or RSA with 3072 bits."""
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return ec.generate_private_key(ec.SECP384R1() if algorithm == "ES384" else ec.SECP256R1())


def algorithm_of(key: PrivateKey) -> str:
    """The algorithm that a key is used with, unless another one is asked for."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS384"
    return "ES384" if isinstance(key.curve, ec.SECP384R1) else "ES256"


def public_jwk(key: PrivateKey, algorithm: str, kid: str | None = None) -> dict[str, Any]:
    """The public half as a JWK; its `kid` is the key's thumbprint unless another one is given."""
    public = key.public_key()
    jwk: dict[str, Any] = (
        RSAAlgorithm.to_jwk(public, as_dict=True)
        if isinstance(public, rsa.RSAPublicKey)
        else ECAlgorithm.to_jwk(public, as_dict=True)
    )
    jwk = {name: value for name, value in jwk.items() if name != "key_ops"}
    return jwk | {"kid": kid or thumbprint(jwk), "alg": algorithm, "use": "sig"}


def thumbprint(jwk: dict[str, Any]) -> str:
    """The thumbprint of a public JWK (RFC 7638, SHA-256)."""
    members = {name: jwk[name] for name in _THUMBPRINT[jwk["kty"]]}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def signed_token(
    key: PrivateKey,
    issuer: str,
    audience: str,
    *,
    algorithm: str | None = None,
    kid: str | None = None,
    tenant: str | None = None,
    jku: str | None = None,
    seconds: int = 300,
    now: float | None = None,
) -> str:
    """A CDS client JWT for one call of `audience`."""
    algorithm = algorithm or algorithm_of(key)
    issued = int(time.time() if now is None else now)
    claims = {"iss": issuer, "aud": audience, "iat": issued, "exp": issued + seconds, "jti": str(uuid.uuid4())}
    header = {"kid": kid or public_jwk(key, algorithm)["kid"]} | ({"jku": jku} if jku else {})
    return jwt.encode(claims | ({"tenant": tenant} if tenant else {}), key, algorithm=algorithm, headers=header)


def read_private_key(pem: bytes) -> PrivateKey:
    """The private key in a PEM file. Raises `ValueError` for anything else."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("--key is not an unencrypted private key in PEM") from error
    if not isinstance(key, PrivateKey):
        raise ValueError("--key is neither an RSA nor an EC key")  # noqa: TRY004 - one kind of error for the caller
    return key


@click.group("keys")
def commands() -> None:
    """Keys and tokens of clients in signed mode."""


@commands.command("new")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="ES384", show_default=True)
@click.option("--kid", help="The key's id; by default its thumbprint.")
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("client-keys"),
    show_default=True,
)
def new_command(algorithm: str, kid: str | None, directory: Path) -> None:
    """Make a key set for a client: private-key.pem for the client, jwks.json for `keys_file`."""
    key = new_key(algorithm)
    directory.mkdir(parents=True, exist_ok=True)
    private = directory / "private-key.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError as error:
        raise click.ClickException(f"{private} is there already; it is not overwritten.") from error
    public = public_jwk(key, algorithm, kid)
    (directory / "jwks.json").write_text(json.dumps({"keys": [public]}, indent=2) + "\n", "ascii")
    click.echo(f"{private} is the client's secret.")
    click.echo(f"{directory / 'jwks.json'} goes into its [[clients]] entry as keys_file (kid {public['kid']}).")


@commands.command("token")
@click.option("--key", "file", type=InputFile(), required=True, metavar="FILE", help="private-key.pem; - for stdin.")
@click.option("--issuer", required=True, help="As in the [[clients]] entry.")
@click.option("--audience", required=True, help="The whole URL that is called, such as https://…/cds-services/ID.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), help="By default the one that fits the key.")
@click.option("--kid", help="By default the key's thumbprint, as `keys new` has it.")
@click.option("--tenant", help="The organisation, where the entry lists tenants.")
@click.option("--jku", help="The URL of the key set, where the entry has one.")
@click.option("--seconds", type=click.IntRange(1, LONGEST_LIFE), default=300, show_default=True)
def token_command(
    file: BinaryIO,
    issuer: str,
    audience: str,
    algorithm: str | None,
    kid: str | None,
    tenant: str | None,
    jku: str | None,
    seconds: int,
) -> None:
    """Print a signed token, good for one call: curl -H "Authorization: Bearer $(oncobone keys token …)" …"""
    try:
        key = read_private_key(file.read())
        click.echo(
            signed_token(key, issuer, audience, algorithm=algorithm, kid=kid, tenant=tenant, jku=jku, seconds=seconds)
        )
    except (ValueError, jwt.PyJWTError, TypeError) as error:
        raise click.ClickException(f"The token cannot be signed: {error}.") from error


@commands.command("explain")
@click.argument("token", default="-")
@click.option("--endpoint", required=True, help="The URL or path that was called, such as /cds-services/ID.")
@json_option
@config_option
def explain_command(token: str, endpoint: str, raw: bool, config: str | None) -> None:
    """
    Say why a token is refused by this configuration; TOKEN, or - to read it from standard input.

    The token is not used up. Exit code 1 when it would be refused.
    """
    text = (token if token != "-" else sys.stdin.read()).strip()  # noqa: S105 - no password: it is standard input
    text = text.partition(" ")[2].strip() if text.lower().startswith("bearer ") else text
    try:
        settings = load({"config": config})
        authenticator = Authenticator(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    if not settings.clients:
        raise click.ClickException(
            "No client is configured, so no token can be checked: name the file with [[clients]] by --config or"
            " ONCOBONE_CONFIG."
        )
    if "://" not in endpoint:
        endpoint = f"{settings.public_url or ''}/{endpoint.lstrip('/')}"
    inspection = authenticator.inspect(text, endpoint, datetime.now(UTC))
    problems = [{"cause": each.cause, "text": each.text} for each in inspection.problems()]
    used, told = _used(settings, inspection)
    if used:
        problems.append({"cause": "replay", "text": told})
    if raw:
        show_json(
            {"accepted": not problems, "header": inspection.header, "claims": inspection.claims, "problems": problems}
        )
    else:
        if inspection.claims:
            click.echo(f"header: {json.dumps(inspection.header)}")
            click.echo(f"claims: {json.dumps(inspection.claims)}")
        for problem in problems:
            click.echo(f"REFUSED ({problem['cause']}): {problem['text']}")
    if used is None:
        click.echo(told, err=raw)
    if problems:
        raise SystemExit(1)
    click.echo("It would be accepted, once.", err=raw)


def _used(settings: Settings, inspection: Inspection) -> tuple[bool | None, str]:
    """Whether the token was used before, as far as the store can tell (None: it cannot), and a sentence on it."""
    iss, jti = inspection.claims.get("iss"), inspection.claims.get("jti")
    if not isinstance(iss, str) or not isinstance(jti, str):
        return False, ""
    try:
        store = existing_store(settings)
        try:
            used = store.was_used(iss, jti)
        finally:
            store.close()
    except (StoreError, StoreUnavailable, AuditKeyError) as error:
        return None, f"Whether it was used before cannot be told: {error}"
    return used, "It was used before; each call needs a token with a `jti` of its own." if used else ""
