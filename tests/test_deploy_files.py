"""What stands in deploy/ besides the scaled form: alerts, dashboard, Kubernetes, a timer, and the handbook's words."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from hooks.running.processes import SLACK_S
from hooks.settings import Settings
from hooks.store.store import open_store
from hooks.watching.observability import Metrics
from tests import postgres
from tests.conftest import ROOT, environment, oncobone
from tests.postgres import Cluster
from tests.stores import issued

DEPLOY = ROOT / "deploy"
HANDBOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def metrics_in(text: str) -> set[str]:
    return {name.removesuffix("_bucket") for name in re.findall(r"\b(oncobone_\w+)(?=[{\[) ])", text)}


def metrics_there() -> set[str]:
    return {f"{each.name}{'_total' * (each.type == 'counter')}" for each in Metrics().registry.collect()}


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        reason = "promtool is not installed on this machine (Debian package prometheus)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


def test_every_alert_is_raised_by_what_it_is_for_and_not_by_what_it_is_not() -> None:
    folder = DEPLOY / "prometheus"
    done = subprocess.run(  # noqa: S603 - promtool, found above
        [promtool(), "test", "rules", "alerts_test.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"- alert: (\w+)", (folder / "alerts.yml").read_text(encoding="utf-8")))
    examples = (folder / "alerts_test.yml").read_text(encoding="utf-8")
    tried = set(re.findall(r"alertname: (\w+), exp_alerts: \[\{", examples))
    assert alerts == tried, "each has an example that raises it"


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    board = json.loads((DEPLOY / "grafana" / "oncobone.json").read_text(encoding="utf-8"))
    asked = {target["expr"] for panel in board["panels"] for target in panel["targets"]}
    assert metrics_in("\n".join(asked)) == metrics_there()


def test_kubernetes_waits_for_the_last_words_and_asks_what_there_is() -> None:
    text = (DEPLOY / "kubernetes" / "deployment.yaml").read_text(encoding="utf-8")
    drain = re.search(r'ONCOBONE_DRAIN_SECONDS, value: "(\d+)"', text)
    grace = re.search(r"terminationGracePeriodSeconds: (\d+)", text)
    assert drain
    assert grace
    usual = Settings()
    longest = int(drain[1]) + usual.stop_seconds + usual.last_words_seconds + SLACK_S
    assert int(grace[1]) > longest
    assert set(re.findall(r"httpGet: \{path: (\S+),", text)) == {"/healthz"}, "with the database down all still answer"
    listed = re.findall(r"^  - (\S+\.yaml)$", (DEPLOY / "kubernetes" / "kustomization.yaml").read_text(), re.MULTILINE)
    assert set(listed) | {"kustomization.yaml"} == {path.name for path in (DEPLOY / "kubernetes").iterdir()}


SCHEMAS = ROOT / "tests" / "vendor" / "kubernetes"


def manifests() -> list[dict[str, Any]]:
    folder = DEPLOY / "kubernetes"
    files = sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files]


def faults(manifest: dict[str, Any]) -> list[str]:
    """What Kubernetes' own strict schema says against a manifest."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    name = "-".join(part for part in (manifest["kind"].lower(), group.partition(".")[0], version) if part)
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return [one.message for one in Draft202012Validator(schema).iter_errors(manifest)]


def test_kubernetes_knows_every_word_of_the_manifests() -> None:
    assert len(manifests()) == 5
    for manifest in manifests():
        assert faults(manifest) == []
        assert faults(manifest | {"spec": manifest["spec"] | {"replica": 2}}), "one that it does not know is a fault"
    if (kubeconform := shutil.which("kubeconform")) is not None:
        place = str(SCHEMAS / "{{ .ResourceKind }}{{ .KindSuffix }}.json")
        text = "\n---\n".join(json.dumps(each) for each in manifests())
        done = subprocess.run(  # noqa: S603 - kubeconform, found above
            [kubeconform, "-strict", "-summary", "-schema-location", place],
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Valid: 5" in done.stdout


def composed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_compose_knows_every_word_of_its_file() -> None:
    """By the schema of the Compose Specification (compose-go 2.16, Apache License 2.0), without its descriptions."""
    schema = json.loads((ROOT / "tests" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    check = validator_for(schema)(schema)
    assert [one.message for one in check.iter_errors(composed())] == []
    wrong = composed()
    wrong["services"]["proxy"]["port"] = ["443:443"]
    assert list(check.iter_errors(wrong)), "one that it does not know is a fault"


def test_images_are_pinned_by_one_command_before_the_first_start(tmp_path: Path) -> None:
    asked = tmp_path / "docker"
    digest = "sha256:" + "0" * 64
    asked.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "buildx imagetools inspect" ] && echo {digest}\n', encoding="utf-8")
    asked.chmod(0o755)
    script = DEPLOY / "compose" / "pin-images.sh"
    env = environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(script)], env=env, capture_output=True, text=True, check=True)  # noqa: S603, S607
    pinned = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert all(value.endswith(f"@{digest}") for value in pinned.values())
    images = {one["image"] for one in composed()["services"].values()} | {"${PYTHON_IMAGE:-python:3.11-slim}"}
    images.discard("oncobone")  # our own, built of the last
    assert images == {f"${{{name}:-{value.partition('@')[0]}}}" for name, value in pinned.items()}
    assert composed()["x-oncobone"]["build"]["args"]["BASE"] in images
    assert "ARG BASE=python:3.11-slim\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    asked.write_text("#!/bin/sh\necho 'no such manifest'\n", encoding="utf-8")
    failed = subprocess.run(["sh", str(script)], env=env, capture_output=True, text=True, check=False)  # noqa: S603, S607
    assert failed.returncode == 1
    assert failed.stdout == ""


def test_what_compose_mounts_is_there_or_a_secret_that_it_tells_to_make() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    head = text.partition("x-oncobone")[0]
    for service in composed()["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            if source.startswith("./secrets/"):
                assert source.removeprefix("./") in head, source
            elif source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), source
            else:
                assert source in composed()["volumes"], source


def test_the_timer_runs_the_purge() -> None:
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.read(DEPLOY / "systemd" / "oncobone-purge.service")
    command = unit["Service"]["ExecStart"].split()[1:]
    assert command[0] == "purge"
    tried = subprocess.run(  # noqa: S603 - our own command
        oncobone(*command, "--help"), env=environment(), capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0


# --- the commands of the handbook ---------------------------------------------------------------------------


def written(beginning: str) -> str:
    """The command of the handbook that begins so, without what is said behind it."""
    lines = [line for line in HANDBOOK.splitlines() if line.startswith(beginning)]
    assert lines, beginning
    return lines[0].partition("  #")[0].strip()


def run(command: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it as it is written, by a shell, with `oncobone` being this one."""
    shim = folder / "oncobone"
    words = oncobone()
    shim.write_text(f'#!/bin/sh\nexec {words[0]} -c "{words[2]}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    env = environment(**settings)
    tools = Path(postgres.binary("pg_dump") or "/usr/bin/pg_dump").parent
    env["PATH"] = f"{folder}:{tools}:{env['PATH']}"
    return subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603, S607


def test_a_backup_of_a_running_sqlite_is_whole(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'oncobone.sqlite'}")
    issued(store)
    with sqlite3.connect(tmp_path / "oncobone.sqlite") as source, sqlite3.connect(tmp_path / "backup.sqlite") as copy:
        source.backup(copy)  # what the shell's `.backup` does
    assert written("sqlite3 oncobone.sqlite").endswith('".backup backup.sqlite"')
    source.close()
    copy.close()
    store.close()
    restored = open_store(f"sqlite:///{tmp_path / 'backup.sqlite'}", audit_key_file=tmp_path / "oncobone.audit-key")
    assert restored.feedback_counts()[0].cards == 1
    restored.close()


@pytest.mark.database
def test_upgrade_rollback_backup_and_restore_on_postgresql(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.fresh("handbook")
    settings = {"ONCOBONE_DATABASE_URL": url, "DATABASE_URL": url, "ONCOBONE_AUDIT_KEY_FILE": str(tmp_path / "key")}
    # The role has another name here: that of the handbook belongs to the owner of the test's cluster.
    upgrade = written("oncobone database upgrade").replace("--grant-to oncobone", "--grant-to handbook_service")
    done = run(f"psql -q -c 'CREATE ROLE handbook_service' \"$DATABASE_URL\" && {upgrade}", tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    store = open_store(url, audit_key_file=tmp_path / "key")
    issued(store)
    store.close()
    for beginning in ("pg_dump ", "oncobone database downgrade", "oncobone database upgrade", "pg_restore "):
        done = run(written(beginning).replace(" --grant-to oncobone", ""), tmp_path, **settings)
        assert done.returncode == 0, (beginning, done.stderr)
    restored = open_store(url, audit_key_file=tmp_path / "key")
    assert restored.feedback_counts()[0].cards == 1
    restored.close()


def test_the_retention_commands_run_as_written(tmp_path: Path) -> None:
    settings = {"ONCOBONE_DATABASE_URL": f"sqlite:///{tmp_path / 'oncobone.sqlite'}"}
    open_store(settings["ONCOBONE_DATABASE_URL"]).close()
    for beginning in ("oncobone purge --older-than 10y --dry-run", "oncobone purge --older-than 10y --yes"):
        done = run(written(beginning), tmp_path, **settings)
        assert done.returncode == 0, done.stderr
