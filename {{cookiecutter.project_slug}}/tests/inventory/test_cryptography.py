"""`docs/cryptography.md` and the pages of features list every key, and every use of cryptography and random numbers."""

import ast
import re

import pytest

from app.assembly import FEATURES
from app.core.mail.outbox import MAIL_KEY
from app.core.pagination import CURSOR_KEY
from tests.support.documents import names, rows, sources, users_of
from tests.support.processes.server import PROJECT

pytestmark = pytest.mark.same_on_every_database

PACKAGES = (
    *("authlib", "cryptography", "joserfc", "pwdlib", "webauthn"),
    *("hashlib", "hmac", "os.urandom", "random", "secrets", "ssl"),
)
# Others that could be had for the same.
FOREIGN = (
    "Crypto",
    "Cryptodome",
    "OpenSSL",
    "argon2",
    "bcrypt",
    "itsdangerous",
    "jose",
    "jwt",
    "nacl",
    "passlib",
    "rsa",
)
# What is broken, or encrypts without a seal, as libraries name it. SHA-1 is in one place: RFC 6238.
WEAK = re.compile(
    r"MD[245]|md[245]|SHA1|sha1|TripleDES|DES|ARC4|RC[24]|Blowfish|IDEA|SEED|CAST5|ECB|CBC|OFB|CFB8?|CTR|PKCS1v15"
)
HINT = "\nGive each a row: in docs/cryptography.md, or in the page of its feature, in a table with the same head."


@pytest.mark.asvs("11.1.1")
def test_every_key_is_listed() -> None:
    """What each derived key does, with which algorithm; none is missing, none is gone."""
    listed = [name for key, *_ in rows("key", "what it does", "algorithm", "feature") for name in names(key)]
    keys = {CURSOR_KEY, MAIL_KEY, *(key for feature in FEATURES for key in feature.keys)}
    assert sorted(listed) == sorted(keys), HINT


@pytest.mark.asvs("11.1.2", "11.2.1")
def test_every_use_is_listed() -> None:
    """Every module that imports cryptography or random numbers, by well-kept libraries alone."""
    listed = [name for where, *_ in rows("where", "what", "algorithm", "feature") for name in names(where)]
    assert len(listed) == len(set(listed))
    assert users_of(*PACKAGES) - set(listed) == set(), HINT
    assert [name for name in listed if not (PROJECT / name).is_file()] == []
    assert users_of(*FOREIGN) == set()


@pytest.mark.asvs("11.3.1", "11.3.2", "11.4.1", "11.4.3")
def test_nothing_weak_is_named() -> None:
    """No broken hash, no cipher without a seal, no old padding: neither as a name nor as a text for `hashlib.new`."""
    found = {
        (path, name)
        for path, module in sources().items()
        for node in ast.walk(module)
        for name in _names(node)
        if WEAK.fullmatch(name)
    }
    assert found == {("app/features/factors/kinds.py", "SHA1")}


def _names(node: ast.AST) -> list[str]:
    """What a part of a module names: attributes, what is imported, and texts, such as those for `hashlib.new`."""
    if isinstance(node, ast.alias):
        return node.name.split(".")
    named = node.attr if isinstance(node, ast.Attribute) else node.value if isinstance(node, ast.Constant) else None
    return [named] if isinstance(named, str) else []
