"""Another key in the text of `.env`: what changes is the keys, to the byte."""

import re
from io import StringIO

import pytest
from dotenv import dotenv_values
from hypothesis import example, given, strategies as st

from app.commands.secret_key.env_file import EnvFileError, with_new_key, without_fallbacks

OLD, OLDER, NEW = "old-Zq7mTt0rWvX9bLc2NfHs5JyGd8Ke4PaU", "older-pR3xVn6sCw1zQm8tYb5kHj7gLf2dA", "new-c8Kd3LmQ9xWv"
ODD = "a'b\"c\\d#e$f`g;h&i|j<k>l(m)n*o?p[q]r{s}t~u!v"

# The file before and after, with a name of the case.
TEXTS: dict[str, tuple[str, str]] = {
    "comments, order": (
        f"# first\nA=1\n\n# SECRET_KEY=other\nSECRET_KEY={OLD}\n#SECRET_KEY_F=\n\nB=2\n",
        f"# first\nA=1\n\n# SECRET_KEY=other\nSECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}\n#SECRET_KEY_F=\n\nB=2\n",
    ),
    "CRLF": (
        f"A=1\r\nSECRET_KEY={OLD}\r\nB=2\r\n",
        f"A=1\r\nSECRET_KEY={NEW}\r\nSECRET_KEY_FALLBACKS={OLD}\r\nB=2\r\n",
    ),
    "CR": (f"SECRET_KEY={OLD}\rB=2\r", f"SECRET_KEY={NEW}\rSECRET_KEY_FALLBACKS={OLD}\rB=2\r"),
    "no final newline": (f"A=1\nSECRET_KEY={OLD}", f"A=1\nSECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}"),
    "no final CRLF": (f"A=1\r\nSECRET_KEY={OLD}", f"A=1\r\nSECRET_KEY={NEW}\r\nSECRET_KEY_FALLBACKS={OLD}"),
    "one line": (f"SECRET_KEY={OLD}", f"SECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}"),
    "export": (f"export SECRET_KEY={OLD}\n", f"export SECRET_KEY={NEW}\nexport SECRET_KEY_FALLBACKS={OLD}\n"),
    "blanks": (f"  SECRET_KEY =  {OLD}  \n", f"  SECRET_KEY =  {NEW}  \nSECRET_KEY_FALLBACKS =  {OLD}  \n"),
    "comment behind": (
        f"SECRET_KEY={OLD}  # keep\n",
        f"SECRET_KEY={NEW}  # keep\nSECRET_KEY_FALLBACKS={OLD}  # keep\n",
    ),
    "double quotes": (f'SECRET_KEY="{OLD}" # q\n', f'SECRET_KEY="{NEW}" # q\nSECRET_KEY_FALLBACKS="{OLD}" # q\n'),
    "single quotes": (f"SECRET_KEY='{OLD}'\n", f"SECRET_KEY='{NEW}'\nSECRET_KEY_FALLBACKS='{OLD}'\n"),
    "quoted name": (f"'SECRET_KEY'={OLD}\n", f"'SECRET_KEY'={NEW}\n'SECRET_KEY_FALLBACKS'={OLD}\n"),
    "lower case": (f"secret_key={OLD}\n", f"secret_key={NEW}\nSECRET_KEY_FALLBACKS={OLD}\n"),
    "BOM": (f"\ufeffSECRET_KEY={OLD}\n", f"\ufeffSECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}\n"),
    "fallbacks": (
        f"SECRET_KEY_FALLBACKS={OLDER} # f\nSECRET_KEY={OLD}\n",
        f"SECRET_KEY_FALLBACKS={OLD},{OLDER} # f\nSECRET_KEY={NEW}\n",
    ),
    "quoted fallbacks": (
        f"SECRET_KEY='{OLD}'\nsecret_key_fallbacks=\"{OLDER}, x\"\n",
        f"SECRET_KEY='{NEW}'\nsecret_key_fallbacks=\"{OLD},{OLDER}, x\"\n",
    ),
    "empty fallbacks": (
        f"SECRET_KEY={OLD}\nSECRET_KEY_FALLBACKS=\nB=2",
        f"SECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}\nB=2",
    ),
    "empty fallbacks, comment": (
        f'SECRET_KEY="{OLD}"\nSECRET_KEY_FALLBACKS= # none\n',
        f'SECRET_KEY="{NEW}"\nSECRET_KEY_FALLBACKS={OLD} # none\n',
    ),
    "empty quoted fallbacks at the end": (
        f"SECRET_KEY={OLD}\nSECRET_KEY_FALLBACKS=''",
        f"SECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS='{OLD}'",
    ),
    "odd key": (f"SECRET_KEY={ODD}\n", f"SECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={ODD}\n"),
    "values over lines": (
        f"A='x\nSECRET_KEY=no'\nSECRET_KEY={OLD}\n",
        f"A='x\nSECRET_KEY=no'\nSECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}\n",
    ),
}

REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "no line"),
    "only a comment": (f"# SECRET_KEY={OLD}\n", "no line"),
    "two lines": (f"SECRET_KEY={OLD}\nA=1\nSECRET_KEY={OLDER}\n", "2 lines that set SECRET_KEY:"),
    "two cases": (f"SECRET_KEY={OLD}\nsecret_key={OLDER}\n", "2 lines that set SECRET_KEY:"),
    "two fallbacks": (f"SECRET_KEY={OLD}\n" + f"SECRET_KEY_FALLBACKS={OLDER}\n" * 2, "SECRET_KEY_FALLBACKS:"),
    "a value made of it": (f"SECRET_KEY={OLD}\nA=x${{SECRET_KEY}}\n", "made of a key"),
    "no value": ("SECRET_KEY\n", "not of the form"),
    "escapes": (f"SECRET_KEY='{OLD}\\''\n", "without escapes"),
    "too large": (f"SECRET_KEY={OLD}\n#{'x' * 65_460}\n", "larger"),
}  # fmt: skip


def values(content: bytes) -> dict[str, str | None]:
    """What the settings read."""
    return dotenv_values(stream=StringIO(content.decode("utf-8-sig")))


@pytest.mark.parametrize(("before", "after"), TEXTS.values(), ids=TEXTS)
def test_the_keys_change_and_every_other_byte_stays(before: str, after: str) -> None:
    """Comments, order, quotes, line ends, a missing last one, a byte order mark."""
    assert with_new_key(before.encode(), NEW) == after.encode()


@pytest.mark.parametrize(("before", "after"), TEXTS.values(), ids=TEXTS)
def test_what_comes_out_can_be_rotated_and_retired(before: str, after: str) -> None:
    """A second key moves the first; retiring leaves the current one and what else the file said."""
    again = with_new_key(after.encode(), "newest-key")
    folded = {name.upper(): value or "" for name, value in values(again).items()}
    assert folded["SECRET_KEY"] == "newest-key"
    assert folded["SECRET_KEY_FALLBACKS"].split(",")[:2] == [NEW, ODD if ODD in before else OLD]
    retired = values(without_fallbacks(again))
    kept = {name.upper(): value for name, value in retired.items()}
    assert (kept["SECRET_KEY"], kept["SECRET_KEY_FALLBACKS"]) == ("newest-key", "")
    others = {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}
    assert {n: v for n, v in kept.items() if n not in others} == {
        n.upper(): v for n, v in values(before.encode()).items() if n.upper() not in others
    }


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_it_cannot_change_for_certain(text: str, reason: str) -> None:
    """In words that show no value."""
    with pytest.raises(EnvFileError, match=re.escape(reason)) as caught:
        with_new_key(text.encode(), NEW)
    assert OLD not in str(caught.value)


def test_refuses_what_is_no_text() -> None:
    """And nothing of it is in the chain of the error."""
    with pytest.raises(EnvFileError, match="UTF-8") as caught:
        with_new_key(b"SECRET_KEY=\xff\xfe", NEW)
    assert caught.value.__context__ is None


def test_retiring_nothing_changes_nothing() -> None:
    """No line is added, none removed."""
    text = f"SECRET_KEY={OLD}\n".encode()
    assert without_fallbacks(text) == text


KEYS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=",'\"\\$#"), min_size=8, max_size=20
)
KEYS_IN_QUOTES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=",$"), min_size=8)


@given(KEYS_IN_QUOTES, KEYS, st.sampled_from(["", "'", '"']), st.sampled_from(["\n", "\r\n"]))
@example("\\'\"\\\\abcd", "abcdefgh", "'", "\n")
def test_any_printable_key_survives_or_is_refused(old: str, older: str, quote: str, end: str) -> None:
    """Whatever the key is made of and however the fallbacks are quoted, no change leaves it to be read as another."""
    written = "'" + old.replace("\\", "\\\\").replace("'", "\\'") + "'"
    before = f"SECRET_KEY={written}{end}SECRET_KEY_FALLBACKS={quote}{older}{quote}{end}".encode()
    assert values(before)["SECRET_KEY"] == old
    try:
        after = values(with_new_key(before, NEW))
    except EnvFileError:
        # It is written with escapes, or would be where it goes.
        assert set("'\"\\") & set(old)
        return
    assert after == {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": f"{old},{older}"}
