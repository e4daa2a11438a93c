"""The exact files of a project, and which answers each needs: `tests/tree.txt`, which `make trees` writes anew."""

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[1]
TREE = ROOT / "tests" / "tree.txt"

ASKED = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
# Every prompt that has a choice, and what can be answered: first what nobody needs to say.
CHOICES: dict[str, tuple[str, ...]] = {
    prompt: (("yes", "no") if answer else ("no", "yes")) if isinstance(answer, bool) else tuple(answer)
    for prompt, answer in ASKED.items()
    if isinstance(answer, bool | list) and not prompt.startswith("_")
}
# Those that decide which files there are.
OPTIONS = {prompt: CHOICES[prompt] for prompt in CHOICES if prompt in {each["prompt"] for each in ASKED["_options"]}}
OPTION_SETS = [dict(zip(OPTIONS, chosen, strict=True)) for chosen in product(*OPTIONS.values())]
# The answers with the most files. What differs from them in two at most shows what each file needs.
FULLEST = {prompt: "kubernetes" if prompt == "deployment" else answers[0] for prompt, answers in OPTIONS.items()}
FULLEST |= {prompt: "yes" for prompt, answers in OPTIONS.items() if "yes" in answers}
NEIGHBOURS = [answers for answers in OPTION_SETS if sum(answers[each] != FULLEST[each] for each in OPTIONS) <= 2]  # noqa: PLR2004

Conditions = Mapping[str, tuple[str, ...]]


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


def conditions(having: list[dict[str, str]]) -> Conditions:
    """The answers that a file needs, by the sets that have it. Raises `ValueError` if one prompt depends on another."""
    found = {
        prompt: tuple(answer for answer in answers if any(each[prompt] == answer for each in having))
        for prompt, answers in OPTIONS.items()
    }
    needed = {prompt: answers for prompt, answers in found.items() if answers != OPTIONS[prompt]}
    if having != [answers for answers in NEIGHBOURS if is_there(needed, answers)]:
        raise ValueError(needed)
    return needed


def is_there(needed: Conditions, answers: Mapping[str, str]) -> bool:
    """Whether the answers are among those that a file needs."""
    return all(answers.get(prompt, OPTIONS[prompt][0]) in needed[prompt] for prompt in needed)


def line(name: str, needed: Conditions) -> str:
    """A file as `tests/tree.txt` has it."""
    return " ".join([name, *(f"[{prompt}: {', '.join(answers)}]" for prompt, answers in needed.items())])


def expected(answers: Mapping[str, str]) -> list[str]:
    """The files of a project with these answers, by `tests/tree.txt`."""
    rows = [row.partition(" [") for row in TREE.read_text(encoding="utf-8").splitlines()]
    needed = (
        {prompt: tuple(each.split(", ")) for prompt, each in re.findall(r"(\w+): ([^\]]+)", row[2])} for row in rows
    )
    return sorted(name for (name, _, _), each in zip(rows, needed, strict=True) if is_there(each, answers))


def main() -> int:
    """Write the list."""
    having: dict[str, list[dict[str, str]]] = {}
    for answers in NEIGHBOURS:
        with tempfile.TemporaryDirectory() as folder:
            for name in tree(render(answers, Path(folder))):
                having.setdefault(name, []).append(answers)
    lines = [line(name, conditions(having[name])) for name in sorted(having)]
    TREE.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    sys.stderr.write(f"tests/tree.txt: {len(lines)} files, {len(NEIGHBOURS)} sets of options\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
