"""What a rendered project has for GitHub, GitLab and git: it is valid, and gives a stranger nothing."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.baked import TEMPLATE, BakedProject, load_yaml
from tests.ci.test_workflows import PINNED, tool
from tests.conftest import Bake

DEPLOYMENTS = ("docker", "none")
# What GitHub's own image for runners has already.
ON_THE_RUNNER = {"chromium", "nodejs"}
UV = re.compile(r"\buv==([0-9.]+)")

Workflow = dict[Any, Any]


@pytest.fixture(scope="module")
def github(bake: Bake) -> BakedProject:
    """A project with workflows."""
    return bake(ci="github")


@pytest.fixture(scope="module")
def gitlab(bake: Bake) -> BakedProject:
    """A project with a pipeline."""
    return bake(ci="gitlab")


@pytest.fixture(scope="module")
def workflows(github: BakedProject) -> dict[str, Workflow]:
    """Each workflow by its name."""
    paths = sorted((github.path / ".github" / "workflows").glob("*.yml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}


@pytest.fixture(scope="module")
def action(github: BakedProject) -> Workflow:
    """The action of the project's own, with which each job begins."""
    found: Workflow = yaml.safe_load(github.text(".github/actions/uv/action.yml"))
    return found


@pytest.fixture(scope="module")
def pipeline(gitlab: BakedProject) -> Workflow:
    """The pipeline for GitLab."""
    found: Workflow = load_yaml(gitlab.text(".gitlab-ci.yml"))
    return found


def jobs(workflows: dict[str, Workflow]) -> Iterator[tuple[str, Workflow]]:
    """Every job of every workflow."""
    return ((f"{name}.{job}", each) for name, flow in workflows.items() for job, each in flow["jobs"].items())


def steps(workflows: dict[str, Workflow], action: Workflow) -> list[Workflow]:
    """Every step there is."""
    return [*action["runs"]["steps"], *(step for _, job in jobs(workflows) for step in job.get("steps", []))]


def checked(*command: str, cwd: Path) -> None:
    """Run a linter, which must find nothing."""
    done = subprocess.run([tool(command[0]), *command[1:]], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_linters_find_nothing_in_the_workflows(bake: Bake, deployment: str, tmp_path: Path) -> None:
    """Neither a mistake (actionlint) nor a hole, at the strictest level (zizmor); and GitHub's schemas hold."""
    project = bake(ci="github", deployment=deployment).path
    shutil.copytree(project / ".github", tmp_path / ".github")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)  # actionlint looks for the root
    checked("actionlint", cwd=tmp_path)
    checked("zizmor", "--offline", "--no-progress", "--strict-collection", "--persona=auditor", ".", cwd=tmp_path)
    for schema, pattern in (
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-actions", ".github/actions/*/action.yml"),
        ("dependabot", ".github/dependabot.yml"),
    ):
        files = map(str, tmp_path.glob(pattern))
        checked("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files, cwd=tmp_path)


@pytest.mark.parametrize("pages", ["yes", "no"])
def test_the_pipeline_fits_the_schema_of_gitlab(bake: Bake, pages: str) -> None:
    """GitLab's own schema holds, whatever was chosen."""
    project = bake(ci="gitlab", browser_pages=pages).path
    options = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    checked("check-jsonschema", *options, ".gitlab-ci.yml", cwd=project)


def test_every_action_is_github_s_own_and_pinned(workflows: dict[str, Workflow], action: Workflow) -> None:
    """By its commit; or it is the project's, at the commit that runs."""
    calls = [job["uses"] for _, job in jobs(workflows) if "uses" in job]
    used = [step["uses"] for step in steps(workflows, action) if "uses" in step] + calls
    foreign = [name for name in used if not name.startswith("$/.github/")]
    assert foreign
    assert all(PINNED.fullmatch(name) and name.startswith("actions/") for name in foreign)


def test_only_one_job_may_write_and_it_runs_nothing_of_the_project(workflows: dict[str, Workflow]) -> None:
    """The token of every other job reads the content; the one that writes neither checks out nor installs."""
    assert all(flow["permissions"] == {} for flow in workflows.values())
    writing = {name: job for name, job in jobs(workflows) if job["permissions"] != {"contents": "read"}}
    assert list(writing) == ["release.publish"]
    publish = writing["release.publish"]
    used = {step["uses"].partition("@")[0] for step in publish["steps"] if "uses" in step}
    assert used == {"actions/download-artifact", "actions/attest"}
    assert [step["run"].split()[:3] for step in publish["steps"] if "run" in step] == [["gh", "release", "create"]]
    assert publish["environment"] == "release"


def test_a_pull_request_gets_nothing_of_the_repository(
    github: BakedProject, workflows: dict[str, Workflow], action: Workflow
) -> None:
    """No event that runs a stranger's code with rights, no secret, no token on disk, no cache that they could fill."""
    allowed = {"push", "pull_request", "schedule", "workflow_call"}
    assert all(set(flow[True]) <= allowed for flow in workflows.values())  # YAML reads `on` as true
    assert set(workflows["release"][True]) == {"push"}
    for step in steps(workflows, action):
        assert "${{" not in step.get("run", ""), "a value would be part of the script"
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}
        assert "cache" not in {*step.get("with", {})}
    texts = [path.read_text("utf-8") for path in (github.path / ".github").rglob("*.yml")]
    assert not [text for text in texts if re.search(r"secrets\.|actions/cache|self-hosted|inputs\.", text)]


def test_every_job_ends(workflows: dict[str, Workflow]) -> None:
    """Each has a bound; a newer push takes the place of an older one in a pull request alone."""
    assert all(job.get("timeout-minutes", 60) <= 45 for _, job in jobs(workflows) if "steps" in job)
    assert all("timeout-minutes" in job for _, job in jobs(workflows) if "steps" in job)
    groups = [flow["concurrency"]["group"] for flow in workflows.values()]
    assert len(set(groups)) == len(groups), "a workflow that calls another one of its group waits for itself"


def commands(lines: list[str]) -> set[str]:
    """What a job is for; not what it installs first, and not the tag, which each place calls by its own name."""
    kept = "".join(f"{line}\n" for line in lines)
    return set(re.findall(r"^(?:make \S+|uv run .+)$", kept, re.MULTILINE))


def test_both_places_run_the_same(
    workflows: dict[str, Workflow], action: Workflow, pipeline: Workflow, github: BakedProject
) -> None:
    """The same commands, by the same version of uv, from a lock that they never write; each target is there."""
    there = commands([step["run"] for _, job in jobs(workflows) for step in job.get("steps", []) if "run" in step])
    here = commands([line for job in pipeline.values() if isinstance(job, dict) for line in job.get("script", [])])
    assert there == here
    targets = re.findall(r"^([\w-]+):", github.text("Makefile"), re.MULTILINE)
    assert {line.removeprefix("make ") for line in there if line.startswith("make ")} <= set(targets)
    assert UV.findall(str(action)) == UV.findall(str(pipeline["default"]["before_script"])) != []
    installing = [flow for flow in workflows.values() if "$/.github/actions/uv" in str(flow)]
    assert [flow["env"]["UV_LOCKED"] for flow in installing] == ["1"] * 3
    assert pipeline["variables"]["UV_LOCKED"] == "1"


def test_the_programs_that_tests_need_are_installed(workflows: dict[str, Workflow], bake: Bake) -> None:
    """Where `CI` is set, a test whose program is missing fails."""
    needed = set()
    for path in TEMPLATE.glob("tests/support/**/programs.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Program":
                needed.add(ast.literal_eval(node.args[2]))
    assert needed > ON_THE_RUNNER
    for job in ("sqlite", "postgresql"):
        lines = [step["run"] for step in workflows["check"]["jobs"][job]["steps"] if "run" in step]
        assert needed - ON_THE_RUNNER <= set(" ".join(line for line in lines if "apt-get" in line).split())
    for pages, missing in (("yes", set[str]()), ("no", ON_THE_RUNNER)):
        text = bake(ci="gitlab", browser_pages=pages).text(".gitlab-ci.yml")
        installs = " ".join(line for line in text.splitlines() if "apt-get install" in line).split()
        assert needed - missing <= set(installs)
        assert not missing & set(installs)


def test_the_pipeline_releases_protected_tags_alone(pipeline: Workflow) -> None:
    """Any other tag starts nothing; a schedule runs the audit alone; the job that releases runs no code."""
    rules = [rule.get("if", "") for rule in pipeline["workflow"]["rules"] if "CI_COMMIT_TAG" in rule.get("if", "")]
    assert rules == ['$CI_COMMIT_TAG =~ /^v/ && $CI_COMMIT_REF_PROTECTED == "true"']
    named = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "stage" in job}
    assert named["release"]["variables"]["GIT_STRATEGY"] == "none"
    assert named["release"]["before_script"] == []
    assert pipeline[".tag"]["rules"] == [{"if": "$CI_COMMIT_TAG"}]
    assert all(pipeline[name]["extends"] == ".tag" for name in ("build", "release"))
    assert pipeline[".change"]["rules"][0] == {"if": '$CI_PIPELINE_SOURCE == "schedule"', "when": "never"}
    assert [name for name in ("lint", "sqlite", "postgresql", "audit") if "extends" not in pipeline[name]] == ["audit"]
    assert not any("cache" in job for job in pipeline.values() if isinstance(job, dict))


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_new_versions_are_proposed_after_uv_takes_them(bake: Bake, deployment: str) -> None:
    """Dependabot waits longer than `exclude-newer`, and looks at what is there."""
    project = bake(ci="github", deployment=deployment)
    text = project.text(".github/dependabot.yml")
    days = project.toml()["tool"]["uv"]["exclude-newer"].removesuffix(" days")
    updates = yaml.safe_load(text)["updates"]
    assert [int(each["cooldown"]["default-days"]) > int(days) for each in updates] == [True] * len(updates)
    ecosystems = {each["package-ecosystem"] for each in updates}
    assert ecosystems - {"docker", "docker-compose"} == {"uv", "github-actions"}
    assert ("docker" in ecosystems) == (deployment != "none")


def test_hooks_of_git_run_the_tools_of_the_lock(github: BakedProject) -> None:
    """Each hook is the project's own, and no tool has a second version."""
    (repository,) = yaml.safe_load(github.text(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert all(entry.startswith("uv run --locked ") for entry in entries if entry != "uv lock --check")
    text = json.dumps(github.toml()["dependency-groups"]["dev"])
    tools = {entry.split()[3] for entry in entries if entry != "uv lock --check"} | {"import-linter"}
    assert sorted(name for name in tools - {"lint-imports"} if name not in text) == []


PATHS = re.compile(r"`((?:app|docs|migrations|tests)/[\w./-]*|[A-Z]+\.md)`")


@pytest.mark.parametrize("pages", ["yes", "no"])
def test_whatever_agents_md_names_is_there(bake: Bake, pages: str) -> None:
    """The page for new colleagues is short, and each path and command on it exists."""
    project = bake(browser_pages=pages, sample_vault=pages, ci="github" if pages == "yes" else "none")
    text = project.text("AGENTS.md")
    assert len(text.splitlines()) <= 90
    named = PATHS.findall(text)
    assert len(named) > 20
    assert [name for name in named if not (project.path / name).exists()] == []
    targets = set(re.findall(r"^([\w-]+):", project.text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets
    imports = re.findall(r"import ([\w, ]+)$", project.text("app/manage.py"), re.MULTILINE)
    known = {name for names in imports for name in names.split(", ")}
    assert {name.replace("-", "_") for name in re.findall(r"uv run manage ([\w-]+)", text)} <= known
    for page, title in re.findall(r'`(docs/[\w.-]+)`, "([^"]+)"', text):
        assert f"## {title}\n" in project.text(page)
    readme = project.text("README.md")
    assert all(f"`make {target}`" in readme for target in re.findall(r"^\| `make ([\w-]+)` \|", text, re.MULTILINE))
