"""When `manage rotate-secret-key` refuses: in words, with nothing changed."""

import secrets
from pathlib import Path

import pytest

from tests.support.processes.command_line import CommandLine

ROTATE = "rotate-secret-key"
KEY = secrets.token_urlsafe(64)


@pytest.mark.parametrize(
    ("setting", "step"),
    [("SECRET_KEY", []), ("secret_key", []), ("SECRET_KEY_FALLBACKS", []), ("SECRET_KEY", ["--retire", "--yes"])],
    ids=repr,
)
def test_refuses_where_the_file_is_not_what_counts(manage: CommandLine, setting: str, step: list[str]) -> None:
    """Keys from the environment: a new one in the file would not be used."""
    before = manage.env_file.read_bytes()
    code, _, err = manage(ROTATE, *step, **{"SECRET_KEY": "", setting: KEY})
    assert code == 1
    assert f"{setting.upper()} comes from the environment" in err
    assert "docs/operations.md" in err
    assert KEY not in err
    assert manage.env_file.read_bytes() == before


def test_refuses_a_file_that_it_cannot_change_for_certain(manage: CommandLine, tmp_path: Path) -> None:
    """Two keys, a link, a setting made of the key: in words, with nothing changed."""
    text = manage.env_file.read_text()
    for wrong, reason in (
        (text + text, "has 2 lines that set SECRET_KEY"),
        (text + "APP_NAME=x${SECRET_KEY}\n", "made of a key"),
    ):
        manage.env_file.write_text(wrong)
        code, _, err = manage(ROTATE)
        assert (code, reason in err) == (1, True)
        assert manage.env_file.read_text() == wrong
    manage.env_file.write_text(text)
    manage.env_file.rename(tmp_path / "elsewhere")
    manage.env_file.symlink_to(tmp_path / "elsewhere")
    code, _, err = manage(ROTATE)
    assert (code, "symbolic link" in err) == (1, True)
    assert manage.env_file.is_symlink()
    assert (tmp_path / "elsewhere").read_text() == text


def test_says_in_words_what_else_is_wrong(manage: CommandLine, tmp_path: Path) -> None:
    """Two steps at once, a schema of another version, a database that is not there: no key is drawn."""
    before = manage.keys()
    assert manage(ROTATE, "--reseal", "--retire")[0] == 2
    code, _, err = manage(ROTATE, DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}")
    assert (code, "manage migrate" in err) == (1, True)
    for step in ([], ["--reseal"]):
        code, _, err = manage(ROTATE, *step, DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
        assert (code, f"the folder {tmp_path / 'no'} does not exist" in err) == (1, True)
    assert manage.keys() == before
