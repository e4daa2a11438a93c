"""The steps of a Dockerfile as a script: there is no container engine here, and what an image does can be seen without.

Each stage is a folder in the place of the root of the file system; paths of the image are changed to those below it.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What a base image has, by the beginning of its name.
Base = Callable[[Path], None]
# The folders of an image that its Dockerfile may name.
OF_THE_IMAGE = re.compile(r"(?<![\w.:/-])/(srv|usr|uv|root)\b")
IGNORED = ("EXPOSE", "LABEL", "ARG")


@dataclass
class Image:
    """What was made of a Dockerfile: the last stage."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def outside(self, text: str) -> str:
        """A text with paths of the image, as they are called here."""
        return OF_THE_IMAGE.sub(lambda path: f"{self.root}{path[0]}", text)


class Build:
    """Runs every step of a Dockerfile; each instruction is a method. Each stage is at `root` while it is made."""

    def __init__(self, context: Path, root: Path, bases: Mapping[str, Base], environment: Mapping[str, str]) -> None:
        """Build what is in `context`, on these base images."""
        self.context, self.root, self.bases, self.environment = context, root, bases, environment
        self.stages: dict[str, Path] = {}
        self.name = ""
        self.image = Image(root)

    def run(self) -> Image:
        """The image of the last stage."""
        for instruction, argument in instructions((self.context / "Dockerfile").read_text(encoding="utf-8")):
            if instruction not in IGNORED:
                getattr(self, f"do_{instruction.lower()}")(argument)
        return self.image

    def do_from(self, argument: str) -> None:
        """Begin a stage."""
        if self.name:
            self.stages[self.name] = self.root.rename(self.root.with_name(f"stage-{self.name}"))
        base, _, self.name = argument.partition(" AS ")
        self.image = Image(self.root)
        next(make for prefix, make in self.bases.items() if base.startswith(prefix))(self.root)

    def do_env(self, argument: str) -> None:
        """Set variables; one may take up its own value."""
        for word in shlex.split(argument):
            key, _, value = word.partition("=")
            inherited = self.image.environment.get(key, self.environment.get(key, ""))
            self.image.environment[key] = self.image.outside(value).replace(f"${key}", inherited)

    def do_workdir(self, argument: str) -> None:
        """Change to a folder, which is made."""
        self.image.folder = argument
        Path(self.image.outside(argument)).mkdir(parents=True, exist_ok=True)

    def do_run(self, argument: str) -> None:
        """Run a command of the shell; a cache that is mounted is the one of whoever runs this."""
        step = self.image.outside(re.sub(r"--mount=\S+ ", "", argument))
        path = f"{self.root}/usr/local/bin{os.pathsep}/usr/bin:/bin"
        done = subprocess.run(
            ["/bin/sh", "-c", step],
            cwd=self.image.outside(self.image.folder),
            env={**self.environment, **self.image.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout[-4000:]}"

    def do_copy(self, argument: str) -> None:
        """Copy from the context what `.dockerignore` lets in, or from a stage what is there."""
        stage, sources, target = re.fullmatch(r"(?:--from=(\w+) )?(.+) (\S+)", argument).groups()  # type: ignore[union-attr]
        into = Path(self.image.outside(target if target.startswith("/") else f"{self.image.folder}/{target}"))
        ignored = None if stage else shutil.ignore_patterns("__pycache__")
        for source in sources.split():
            assert stage or is_let_in(self.context, source), f".dockerignore leaves out {source}"
            found = self.stages[stage] / source.lstrip("/") if stage else self.context / source
            if found.is_dir():
                shutil.copytree(found, into, symlinks=True, ignore=ignored)
            else:
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, into / found.name if into.is_dir() else into)

    def do_user(self, argument: str) -> None:
        """Who the processes are."""
        self.image.user = argument

    def do_entrypoint(self, argument: str) -> None:
        """The program."""
        self.image.entrypoint = [self.image.outside(word) for word in json.loads(argument)]

    def do_cmd(self, argument: str) -> None:
        """Its arguments."""
        self.image.command = json.loads(argument)

    def do_healthcheck(self, argument: str) -> None:
        """How it is asked whether it works."""
        self.image.healthcheck = [self.image.outside(word) for word in json.loads(argument.partition("CMD ")[2])]


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and its argument, without comments and continuation lines."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    words = (line.strip().partition(" ") for line in lines.splitlines() if line.strip())
    return [(instruction, " ".join(argument.split())) for instruction, _, argument in words]


def is_let_in(context: Path, source: str) -> bool:
    """Whether `.dockerignore`, a list of what is let in, names the file or folder."""
    lines = (context / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return "*" in lines and f"!{source}" in lines


def python_base(root: Path) -> None:
    """An image of Python: this one, in `/usr/local`, without its packages and its own tests."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    installed = Path(sys.base_prefix)
    left_out = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "config-*")
    (root / "usr/local/bin").mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), root / "usr/local/bin/python3")
    shutil.copytree(installed / "lib" / version, root / "usr/local/lib" / version, ignore=left_out)
    for library in (installed / "lib").glob("libpython*"):
        shutil.copy(library, root / "usr/local/lib")


def uv_base(root: Path) -> None:
    """The image of uv: the program."""
    root.mkdir()
    shutil.copy(Path(sys.executable).with_name("uv"), root / "uv")
