"""The form of a key, which scanners find and check without asking anybody."""

import re
import tomllib
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.core.logging.secret_shapes import MASK, redact_shapes
from app.features.api_keys.models import id_in, new_key

DOCS = Path(__file__).parents[3] / "docs" / "features" / "api-keys.md"


@pytest.mark.asvs("11.5.1", "7.2.3")
def test_ten_thousand_keys_are_different_and_have_one_form() -> None:
    """256 random bits each, also for one row; the id can be read from each, at both ends of what an id can be."""
    ids = [UUID(int=0), UUID(int=2**128 - 1), *(uuid4() for _ in range(98))]
    keys = {new_key(each): each for each in ids for _ in range(100)}
    assert len(keys) == 10_000
    assert {len(key) for key in keys} == {107}
    assert all(id_in(key) == each for key, each in keys.items())
    assert len({key[35:51] for key in keys}) == 10_000


def test_a_typing_error_is_found_by_the_checksum() -> None:
    """Any character that is another one, is missing, or is there twice: it names no row."""
    key = new_key(uuid4())
    for place in range(len(key)):
        other = "0" if key[place] == "1" else "1"
        for wrong in (
            key[:place] + other + key[place + 1 :],
            key[:place] + key[place + 1 :],
            key[:place] + key[place:],
        ):
            assert (id_in(wrong) is None) == (wrong != key)


@pytest.mark.parametrize("text", ["", "ak_", "ak_" + "\u0660" * 104, f"ak_{'A' * 104}", "0" * 107, f"ak_{'0' * 104}\n"])
def test_no_other_text_names_a_row(text: str) -> None:
    """Whatever it is like: other digits, capitals, no prefix, a line break at the end."""
    assert id_in(text) is None


@pytest.mark.asvs("14.2.4", "16.2.5")
def test_the_log_knows_the_form() -> None:
    """A key in running text is masked."""
    key = new_key(uuid4())
    assert redact_shapes(f"tried {key}, twice") == f"tried {MASK}, twice"


def test_the_documented_expression_finds_keys_and_nothing_else() -> None:
    """The one for scanners, in the page of the feature and in `.gitleaks.toml`."""
    (documented,) = re.findall(r"`(\\bak_.*?\\b)`", DOCS.read_text("utf-8"))
    rules = tomllib.loads((DOCS.parents[2] / ".gitleaks.toml").read_text("utf-8"))["rules"]
    assert [rule["regex"] for rule in rules if "ak_" in rule["keywords"]] == [documented]
    key = new_key(uuid4())
    assert re.findall(documented, f"key={key}\nsnak_{key[3:]} {key}x") == [key]
