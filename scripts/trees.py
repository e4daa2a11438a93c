"""The exact list of files of each option set, in `tests/trees`; `make trees` writes it anew."""

import sys
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[1]
TREES = ROOT / "tests" / "trees"


# What can be left out, and how a list of files without it is called.
OPTIONS = {"browser_pages": "pages", "sample_vault": "vault"}


def list_name(answers: Mapping[str, str]) -> str:
    """The name of the list, by the answers that make a difference to it."""
    left_out = [word for option, word in OPTIONS.items() if answers[option] == "no"]
    return "-without-".join([answers["database"], *left_out])


# The name of each list, and the answers that it is made with.
OPTION_SETS = {
    list_name(answers): answers
    for database, *chosen in product(("sqlite", "postgresql"), *(("yes", "no") for _ in OPTIONS))
    for answers in [{"database": database, **dict(zip(OPTIONS, chosen, strict=True))}]
}


def tree(project: Path) -> list[str]:
    """Every file of a project, as sorted POSIX paths."""
    return sorted(path.relative_to(project).as_posix() for path in project.rglob("*") if not path.is_dir())


def render(answers: dict[str, str], folder: Path) -> Path:
    """Render the template into a folder, and leave the user's home alone."""
    config = folder / "cookiecutter.yaml"
    config.write_text(f"cookiecutters_dir: {folder.as_posix()}\nreplay_dir: {folder.as_posix()}\n", encoding="utf-8")
    return Path(
        cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=str(folder), config_file=str(config))
    )


def main() -> int:
    """Write every list."""
    for name, answers in OPTION_SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            files = tree(render(answers, Path(folder)))
        (TREES / f"{name}.txt").write_text("\n".join(files) + "\n", encoding="utf-8", newline="\n")
        sys.stdout.write(f"tests/trees/{name}.txt: {len(files)} files\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
