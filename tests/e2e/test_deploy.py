"""The files of examples/deploy: every command in them is one, and what they name is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from fedactors import config as configuration
from fedactors.cli import main

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
KUSTOMIZATION = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text(encoding="utf-8"))
MANIFESTS = [
    manifest
    for path in sorted((DEPLOY / "kubernetes").iterdir())
    for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]
    for manifest in MANIFESTS
    if manifest["kind"] in ("StatefulSet", "Job")
}
STARTS_OR_RESUMES = ["sh", "controller.sh", "/runs/run"]


def unit(name: str) -> ConfigParser:
    """A systemd unit; of a key that is given twice, the last."""
    parsed = ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parsed.optionxform = str
    parsed.read(DEPLOY / "systemd" / name)
    return parsed


def words(command: str) -> list[str]:
    """A line of a unit as words, each with an instance in its place."""
    return shlex.split(command.replace("%i", "0"))


def composed(service: str) -> list[str]:
    return [*COMPOSE["services"][service].get("entrypoint", []), *COMPOSE["services"][service]["command"]]


def podded(name: str) -> list[str]:
    container = PODS[name]["spec"]["containers"][0]
    given = [word.replace("$(INDEX)", "0").replace("$(POD)", "driver-x1") for word in container.get("args", [])]
    return [*container.get("command", []), *given]


COMMANDS = {
    **{f"compose {service}": composed(service) for service in COMPOSE["services"] if service != "controller"},
    **{f"kubernetes {name}": podded(name) for name in PODS if name != "controller"},
    "systemd learner": words(unit("fedactors-learner@.service")["Service"]["ExecStart"])[1:],
}


def fedactors(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def accepts(arguments: list[str]) -> None:
    """Have the command line parse these arguments, and do nothing."""
    with click.Context(main) as context:
        verb = main.get_command(context, arguments[0])
        assert verb is not None
        verb.make_context(arguments[0], arguments[1:], parent=context)


@pytest.mark.parametrize("where", COMMANDS)
def test_every_command_is_one_that_fedactors_takes(where):
    accepts(COMMANDS[where])
    assert (DEPLOY / COMMANDS[where][1]).is_file()


def test_an_option_that_there_is_not_would_be_found():
    with pytest.raises(click.NoSuchOption):
        accepts(["learner", "federation.toml", "--indx", "0"])


def test_every_controller_begins_or_goes_on_by_the_same_script():
    started = words(unit("fedactors-controller.service")["Service"]["ExecStart"])
    assert started == ["/bin/sh", "/etc/fedactors/controller.sh", "/var/lib/fedactors/run"]
    assert composed("controller") == podded("controller") == STARTS_OR_RESUMES


def test_the_script_begins_a_run_and_goes_on_with_one_that_is_there(tmp_path):
    fake = tmp_path / "fedactors"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.toml").touch()
    for run, expected in {
        "new": "controller federation.toml --run-dir new",
        "there": "controller --resume there",
    }.items():
        command = ["sh", str(DEPLOY / "controller.sh"), run]
        done = subprocess.run(command, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True)
        assert done.stdout.strip() == expected
        accepts(expected.split())


def test_with_the_readme_s_certificates_the_configuration_would_run(tmp_path, monkeypatch):
    for name in ("deploy", "quickstart"):
        shutil.copytree(DEPLOY.parent / name, tmp_path / "examples" / name, ignore=shutil.ignore_patterns("certs", "__pycache__"))
    monkeypatch.chdir(tmp_path / "examples" / "deploy")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "learner", ModuleType("learner"))  # the name stays free for others
    told = re.findall(r"fedactors certs (.*?)(?:; done)?$", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert told[-1] == "learner learner-$number"
    for command in (*told[:-1], *(f"learner learner-{number}" for number in (0, 1, 2))):
        assert fedactors("certs", *command.split()).exit_code == 0
    checked = fedactors("check", "federation.toml")
    assert checked.output.endswith("federation.toml is well\n"), checked.output
    made = {str(path.relative_to(tmp_path / "examples" / "deploy")) for path in tmp_path.rglob("*.pem")}
    secret = {file for one in KUSTOMIZATION["secretGenerator"] for file in one["files"] if file.endswith(".pem")}
    assert secret == made
    for service in COMPOSE["services"].values():
        assert service.get("environment", {}).get("FEDACTORS_CERTIFICATE", "certs/ca.pem") in made


def test_the_configuration_listens_where_the_others_look():
    config = configuration.read(DEPLOY / "federation.toml")
    assert config.controller.address == "grpcs://0.0.0.0:4450"
    for where, command in COMMANDS.items():
        address = command[command.index("--address") + 1]
        assert address == ("grpcs://controller.example.org:4450" if "systemd" in where else "grpcs://controller:4450")
    learners = [service for service in COMPOSE["services"] if service.startswith("learner")]
    replicas = next(m for m in MANIFESTS if m["kind"] == "StatefulSet" and m["metadata"]["name"] == "learner")["spec"]["replicas"]
    assert len(learners) == replicas == config.learners.count


def test_containers_name_services_and_volumes_that_there_are():
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", [])) <= {"controller"} <= set(COMPOSE["services"])
        named = {volume.partition(":")[0] for volume in service["volumes"]} - {"./certs"}
        assert named <= set(COMPOSE["volumes"])
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_an_image_copies_what_there_is():
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    for name in copied:
        assert (DEPLOY.parents[1] / name).exists(), name


def test_pods_mount_what_is_declared_and_select_themselves():
    generated = {one["name"] for key in ("configMapGenerator", "secretGenerator") for one in KUSTOMIZATION[key]}
    for manifest in MANIFESTS:
        if manifest["metadata"]["name"] not in PODS or manifest["kind"] in ("Service", "Namespace"):
            continue
        spec = manifest["spec"]["template"]["spec"]
        claims = {claim["metadata"]["name"] for claim in manifest["spec"].get("volumeClaimTemplates", [])}
        declared = {volume["name"] for volume in spec["volumes"]} | claims
        assert {mount["name"] for mount in spec["containers"][0]["volumeMounts"]} == declared
        sources = [
            volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName") for volume in spec["volumes"]
        ]
        assert {source for source in sources if source} <= generated
        labels = manifest["spec"]["template"]["metadata"]["labels"]
        assert manifest["spec"].get("selector", {}).get("matchLabels", labels) == labels
    assert {path.name for path in (DEPLOY / "kubernetes").iterdir()} == {Path(name).name for name in KUSTOMIZATION["resources"]}


def test_services_lead_to_pods():
    for service in (manifest for manifest in MANIFESTS if manifest["kind"] == "Service"):
        template = PODS[service["metadata"]["name"]]
        assert service["spec"]["selector"] == template["metadata"]["labels"]
