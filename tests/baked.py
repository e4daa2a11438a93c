"""A rendered project, and how tests look at it."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from itertools import combinations, product
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from scripts.trees import CHOICES

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
LICENSES = CHOICES["license"]
DATABASES = CHOICES["database"]
YES_NO = ("yes", "no")
# What has the most files; but a project has the workflows of one place.
EVERYTHING = {
    **{prompt: "yes" if "yes" in answers else answers[0] for prompt, answers in CHOICES.items()},
    "deployment": "kubernetes",
}


def covering(choices: Mapping[str, tuple[str, ...]], together: int = 2) -> list[dict[str, str]]:
    """A small set of combinations in which each answer to a prompt meets each answer to `together` - 1 others."""
    every = [dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values())]
    groups = [frozenset(combinations(each.items(), together)) for each in every]
    missing, chosen = frozenset[object]().union(*groups), []
    while missing:
        best = max(range(len(every)), key=lambda index: len(groups[index] & missing))
        missing -= groups[best]
        chosen.append(every[best])
    return chosen


COMBINATIONS = covering(CHOICES)
# What others wrote, and is kept as they did.
VENDORED = ("app/features/pages/kit/static/pico", "app/features/pages/kit/static/swagger/")


@dataclass(frozen=True)
class BakedProject:
    """A project on disk, and the answers it was made of."""

    path: Path
    answers: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[Path]:
        """Every file."""
        return (path for path in sorted(self.path.rglob("*")) if path.is_file())

    def names(self) -> Iterator[str]:
        """The POSIX path of every file that is not somebody else's work."""
        names = (path.relative_to(self.path).as_posix() for path in self.files())
        return (name for name in names if not name.startswith(VENDORED))

    def text(self, name: str) -> str:
        """What a file says."""
        return (self.path / name).read_text(encoding="utf-8")

    def toml(self, name: str = "pyproject.toml") -> dict[str, Any]:
        """A TOML file, parsed."""
        return tomllib.loads(self.text(name))

    def env(self, name: str = ".env") -> dict[str, str | None]:
        """A dotenv file, read as the service reads it."""
        return dict(dotenv_values(stream=StringIO(self.text(name))))


class _Loader(yaml.SafeLoader):
    """YAML with GitLab's `!reference [job, key]`."""


_Loader.add_constructor("!reference", lambda _, node: node.value)


@cache
def load_yaml(text: str) -> Any:  # noqa: ANN401  # whatever it holds
    """Parse a YAML file; one that is the same in many projects, once. It is not to be changed."""
    return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader


@cache
def compile_python(text: str) -> None:
    """Compile a text; one that is the same in many projects, once."""
    compile(text, "<rendered>", "exec")


def combination_name(answers: Mapping[str, str]) -> str:
    """A readable name of a test."""
    return "-".join(f"{key}:{answer}" if answer in YES_NO else answer for key, answer in answers.items())
