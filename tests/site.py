"""The scaled form, started for real on loopback: nginx with the shipped file, services in signed mode, PostgreSQL."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import psycopg
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hooks.trust.keys import new_key, public_jwk
from tests.conftest import ROOT, Server, environment, oncobone, start
from tests.postgres import Cluster
from tests.wire import call_body, check_answer

if TYPE_CHECKING:
    from collections.abc import Callable

DEPLOY = ROOT / "deploy"
PUBLIC = "https://cds.example.org"
ISSUER = "https://ehr.example.org"
TENANT = "north-hospital"
WORKERS = 2
CALL = "/cds-services/oncobone-patient-view"
KEY = new_key("ES384")


def nginx() -> str:
    """The path of nginx; skips the test where there is none, and fails it in CI."""
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None:
        reason = "nginx is not installed on this machine"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def replaced(text: str, **changes: tuple[str, str]) -> str:
    """A shipped file with some places changed for a test; each must be there, or the test tests something else."""
    for what, (old, new) in changes.items():
        assert old in text, what
        text = text.replace(old, new)
    return text


def renamed(script: str) -> str:
    """A script for the role of the service under another name: the one it has is that of the test cluster's owner."""
    return re.sub(r"\b(ROLE|TO|FROM) oncobone\b", r"\1 oncobone_service", script)


def token(path: str, **claims: Any) -> str:
    """A fresh token of the client for one path."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": PUBLIC + path,
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
        "tenant": TENANT,
    }
    return jwt.encode(usual | claims, KEY, algorithm="ES384", headers={"kid": "k1", "typ": "JWT"})


def self_signed(folder: Path) -> None:
    """A certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@dataclass
class Tally:
    """What became of the calls of a load."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def failed(self) -> int:
        """How many calls were not answered with 200."""
        return sum(self.statuses.values()) - self.statuses["200"]

    def add(self, status: str, took: float) -> None:
        """Take note of one call."""
        with self.lock:
            self.statuses[status] += 1
            self.seconds.append(took)
            if status != "200":
                self.failed_at.append(time.monotonic())


class Load:
    """A few clients that call again and again, each time with a fresh token, until told to stop."""

    def __init__(self, site: Site, clients: int = 3, pause: float = 0.02) -> None:
        self.tally = Tally()
        self._site = site
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Tally:
        for thread in self._threads:
            thread.start()
        return self.tally

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with self._site.session() as session:
            while not self._over.is_set():
                started = time.monotonic()
                try:
                    status = str(self._site.call(session=session).status_code)
                except requests.RequestException as error:
                    status = type(error).__name__
                except AssertionError as error:
                    status = str(error)
                self.tally.add(status, time.monotonic() - started)
                self._over.wait(self._pause)


class Site:
    """The whole: PostgreSQL, services, and the proxy in front of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = (free_port(), free_port())
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.services: dict[int, Server] = {}
        self._proxy: subprocess.Popen[bytes] | None = None
        self.cluster = Cluster()
        self.audit_key = folder / "audit-key"
        self.answered: set[str] = set()
        self.database = self.owner = ""

    def start(self) -> None:
        """Start everything as the shipped files say."""
        self.cluster.start()
        # 1. An administrator makes the roles; passwords are not asked for on a test's own cluster.
        roles = (DEPLOY / "postgres" / "roles.sql").read_text(encoding="utf-8")
        with psycopg.connect(self.cluster.url, autocommit=True) as connection:
            for statement in re.sub(r"^--.*$", "", renamed(roles), flags=re.MULTILINE).split(";"):
                if statement.strip():
                    connection.execute(re.sub(r":'\w+'", "'password'", statement).encode())
        # 2. and 3. The owner, who may make no role, brings the tables up to date and says who may do what.
        owner = self.cluster.database("oncobone").replace("//oncobone@", "//oncobone_owner@")
        upgraded = subprocess.run(  # noqa: S603 - our own command
            oncobone("database", "upgrade"),
            env=environment(ONCOBONE_DATABASE_URL=owner),
            capture_output=True,
            check=False,
            text=True,
        )
        assert upgraded.returncode == 0, upgraded.stderr
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(renamed((DEPLOY / "postgres.sql").read_text(encoding="utf-8")).encode())
        self.owner, self.database = owner, owner.replace("//oncobone_owner@", "//oncobone_service@")
        (self.folder / "ehr-keys.json").write_text(
            json.dumps({"keys": [public_jwk(KEY, "ES384", "k1")]}), encoding="utf-8"
        )
        toml = replaced(
            (DEPLOY / "oncobone.toml").read_text(encoding="utf-8"),
            key=("/etc/oncobone/audit-key", str(self.audit_key)),
            keys=("/etc/oncobone/ehr-keys.json", str(self.folder / "ehr-keys.json")),
        )
        (self.folder / "oncobone.toml").write_text(toml, encoding="utf-8")
        self._start_proxy()
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.start_service, self.ports))

    def settings(self) -> dict[str, str]:
        """What stands in the environment of each service."""
        return {"ONCOBONE_CONFIG": str(self.folder / "oncobone.toml"), "ONCOBONE_DATABASE_URL": self.database}

    def start_service(self, port: int) -> None:
        """Start one service; it answers when this returns."""
        self.services[port] = start(("--port", str(port)), self.settings(), self.folder)

    def restart_service(self, port: int) -> None:
        """Stop one service as systemd does, and start it again."""
        assert self.services[port].stop() == 0
        self.start_service(port)

    def _start_proxy(self) -> None:
        tls = self.folder / "tls"
        tls.mkdir()
        self_signed(tls)
        logs = self.folder / "logs"
        logs.mkdir()
        config = replaced(
            (DEPLOY / "nginx" / "nginx.conf").read_text(encoding="utf-8"),
            port=("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            certificate=("/etc/oncobone/tls", str(tls)),
            logs=("/var/log/nginx", str(logs)),
            bodies=("/run/oncobone-bodies", str(self.folder / "bodies")),
            pid=("/run/nginx.pid", str(self.folder / "nginx.pid")),
            processes=("worker_processes auto", "worker_processes 2"),
        )
        upstream = replaced(
            (DEPLOY / "nginx" / "oncobone-upstream.conf").read_text(encoding="utf-8"),
            first=("127.0.0.1:8081", f"127.0.0.1:{self.ports[0]}"),
            second=("127.0.0.1:8082", f"127.0.0.1:{self.ports[1]}"),
        )
        (self.folder / "nginx.conf").write_text(config, encoding="utf-8")
        (self.folder / "oncobone-upstream.conf").write_text(upstream, encoding="utf-8")
        # As root it would change to another user, who may not read a test's directory.
        globals_ = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        command = [nginx(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-g", globals_]
        command += ["-e", str(logs / "error.log")]
        checked = subprocess.run([*command, "-t"], capture_output=True, check=False, text=True)  # noqa: S603
        assert checked.returncode == 0, checked.stderr
        assert "warn" not in checked.stderr
        self._proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - nginx, found above
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop everything."""
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait(10)
        for service in self.services.values():
            service.stop()
        self.cluster.remove()

    def session(self) -> requests.Session:
        """A client that knows the proxy's certificate."""
        made = requests.Session()
        made.trust_env = False
        made.verify = str(self.folder / "tls" / "fullchain.pem")
        return made

    def request(
        self, method: str, path: str, *, signed: bool = True, session: requests.Session | None = None, **options: Any
    ) -> requests.Response:
        """A request through the proxy, with a token of its own unless told otherwise."""
        headers = dict(options.pop("headers", {}))
        if signed:
            headers["Authorization"] = f"Bearer {token(path)}"
        chosen = session or self.session()
        try:
            response = chosen.request(method, self.url + path, headers=headers, timeout=30, **options)
        finally:
            if session is None:
                chosen.close()
        if response.content and path != "/rules":
            check_answer(response)
        return response

    def call(self, session: requests.Session | None = None, **members: Any) -> requests.Response:
        """One call of the chart hook."""
        instance = str(uuid.uuid4())
        response = self.request("POST", CALL, json=call_body(hookInstance=instance, **members), session=session)
        if response.status_code == 200:
            self.answered.add(instance)
        return response

    def workers(self, port: int) -> set[int]:
        """The processes of one service."""
        pid = self.services[port].process.pid
        return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()}

    def audited(self) -> set[str]:
        """The hook instances in the audit record, read as the owner of the database."""
        with psycopg.connect(self.cluster.database("oncobone")) as connection:
            rows = connection.execute("SELECT record FROM audit_records").fetchall()
        return {json.loads(record).get("hook_instance") for (record,) in rows}

    def ready(self) -> list[int]:
        """What the services say of themselves, asked as operators do: past the proxy."""
        return [service.get("/readyz").status_code for service in self.services.values()]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours with the settings of the site."""
        return subprocess.run(  # noqa: S603 - our own command
            oncobone(*arguments), env=environment(**self.settings()), capture_output=True, text=True, check=False
        )


def until(what: Callable[[], bool], seconds: float) -> float:
    """Wait until something is so; give how long it took."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, "it did not come about in time"
        time.sleep(0.05)
    return time.monotonic() - started
