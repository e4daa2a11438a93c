"""Secrets in running text, recognised by their shape."""

import json
import time

import pytest

from app.core.logging.secret_shapes import MASK, may_hold_secrets, redact_shapes

CANARY = "c4naryValue"
JWT = f"eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.{CANARY}eyJzdWIiOiIxIn0.{CANARY}dozjgNryP4J3jVmNHl0w5N"
REFRESH_TOKEN = "rt_" + (CANARY * 4)[:43]
PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n{CANARY}\n-----END PRIVATE KEY-----"  # gitleaks:allow  # none is in it

SECRETS = {
    "cookie alone": f"__Secure-session={CANARY}",
    "auth": f"x-auth: {CANARY}",
    "JWT": JWT,
    "JWE with five parts": f"eyJhbGciOiJkaXIifQ..{CANARY}.{CANARY}.{CANARY}",
    "refresh token": REFRESH_TOKEN,
    "token of a mail": f"is {'pwr_' + (CANARY * 4)[:43]} yours",
    "token of a mail in a path": f"GET /verify/{'vrf_' + (CANARY * 4)[:43]}",
    "refresh token in a path": f"GET /x/{REFRESH_TOKEN}/y",
    "secret of a client in a path": f"GET /x/{'cs_' + (CANARY * 4)[:43]}",
    "authorization code in a path": f"GET /x/{'ac_' + (CANARY * 4)[:43]}",
    "bearer": f"Bearer {CANARY}",
    "bearer of a short token": "bearer c4naryValue",
    "bearer, percent-encoded": f"Bearer%20{CANARY}",
    "basic": f"authorised by Basic {CANARY}==",
    "DPoP": f"DPoP {CANARY}",
    "URL with user and password": f"postgresql+asyncpg://app:{CANARY}@db.internal:5432/app",
    "URL with a password alone": f"redis://:{CANARY}@cache:6379/0",
    "URL with a token alone": f"https://{CANARY}@git.internal/x",
    "URL with at signs in its password": f"postgresql://app:a@{CANARY}@db/app",
    "URL with slashes in its password": f"postgresql://app:a/{CANARY}@db/app",
    "argon2": f"$argon2id$v=19$m=19456,t=2,p=1${CANARY}${CANARY}",
    "bcrypt": f"$2b$12${CANARY}",
    "PEM": PEM,
    "PEM of another kind": PEM.replace("PRIVATE", "RSA PRIVATE"),
    "PEM, cut": PEM[:60],
    "form": f"email=x&password={CANARY}&next=1",
    "form with brackets": f"user[password]={CANARY}",
    "query": f"/reset?token={CANARY}",
    "OAuth query": f"/cb?state={CANARY}&code={CANARY}",
    "percent-encoded form": f"password%3D{CANARY}",
    "JSON": f'{{"password":"{CANARY}"}}',
    "JSON with a quote in it": f'{{"password": "a\\"{CANARY}"}}',
    "JSON in JSON": f'{{\\"client_secret\\": \\"{CANARY}\\"}}',
    "JSON, cut": f'{{"new_password": "{CANARY} {CANARY}',
    "repr": f"Body(password='{CANARY} {CANARY}')",
    "repr of bytes": f"Body(api_key=b'{CANARY}')",
    "pair": f"[('password', '{CANARY}')]",
    "ASGI headers": f"[(b'authorization', b'Digest {CANARY}'), (b'x', b'y')]",
    "header": f"Authorization: Custom {CANARY} {CANARY}",
    "cookie header": f"Cookie: a={CANARY}; b={CANARY}",
    "set-cookie header": f"set-cookie: a={CANARY}; HttpOnly",
    "colon": f"Password: {CANARY}",
    "with spaces": f"api key = {CANARY}",
    "pydantic": f"[type=int_parsing, input_value='{CANARY}', input_type=str]",
    "FastAPI": f"[{{'type': 'int_parsing', 'input': '{CANARY}'}}]",
    "PostgreSQL, unique": f"DETAIL:  Key (email)=({CANARY}) already exists.",
    "PostgreSQL, unique, several lines": f"DETAIL:  Key (name)=(a\n{CANARY}) already exists.",
    "PostgreSQL, key without label": f"Key (lower(email::text))=({CANARY}) already exists.",
    "PostgreSQL, null": f"Failing row contains (1, {CANARY}, null).",
    "PostgreSQL, type": f'invalid input syntax for type uuid: "{CANARY}"',
    "asyncpg": f"invalid input for query argument $1: '{CANARY}' (expected str, got int)",
    "SQLAlchemy": f"[SQL: SELECT 1]\n[parameters: ('{CANARY}',)]",
    "option of a command": f"manage create-admin --password {CANARY} --email x",
    "option of one dash, in quotes": f"run -db-pass '{CANARY} {CANARY}'",
    "option of two words": f"run --password two {CANARY} --verbose",
    "list of arguments": f"['run', '--api-key', '{CANARY}']",
    "element of XML": f"<password>{CANARY}</password>",
    "element of XML with a prefix and attributes": f"<x:clientSecret a='1'>{CANARY} {CANARY}</x:clientSecret>",
    "element of XML as CDATA": f"<password><![CDATA[<{CANARY}]]></password>",
    "element of XML, named by an attribute": f'<entry key="password">{CANARY}</entry>',
    "element of XML, escaped": f"&lt;password&gt;{CANARY}&lt;/password&gt;",
    "element of a form": f'<input name="password" type="text" value="{CANARY} {CANARY}">',
    "name and value of one object": f'{{"name": "password", "value": "{CANARY}"}}',
    "part of a form": f'Content-Disposition: form-data; name="password"\r\n\r\n{CANARY} {CANARY}\r\n--x',
    "words": f"password=two {CANARY} {CANARY}",
    "words in a form": f"a=b&password=two {CANARY} {CANARY}&x=1",
    "words with an ampersand": f"password=two & {CANARY}",
    "words after a colon": f"Password: two {CANARY}",
    "words before another name": f"host=db password=two {CANARY} port=5432",
    "pair without blanks": f"('password','{CANARY}')",
    "pair without quotes": f"(password, {CANARY} {CANARY})",
    "tuple": f"('email', 'password', '{CANARY}', 1)",
    "pair in lists, on several lines": json.dumps([["a", ["password", ["b", CANARY]]]], indent=4),
    "name and value as pairs": f"[('name', 'password'), ('value', '{CANARY}')]",
    "quotation": f"wrong password '{CANARY} {CANARY}'",
    "name that ends with pass": f"db_pass={CANARY}",
    "quoted, with an escaped line end": f'password="a\\\n{CANARY}"',
    "e-mail address": f"no mailbox {CANARY}@example.com here",
    "e-mail address in brackets": f"<{CANARY}@mail.example.com>",
    "e-mail address, percent-encoded": f"/users?email={CANARY}%40example.com",
    "e-mail address after an at sign": f"x@{CANARY}@example.com",
}


@pytest.mark.asvs("14.2.4", "16.2.5")
@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_hides(text: str) -> None:
    """The secret is gone, and the mask says that there was one."""
    hidden = redact_shapes(f"before {text}")
    assert may_hold_secrets(text)
    assert CANARY not in hidden
    assert MASK in hidden
    assert hidden.startswith("before ")


HARMLESS = (
    "GET /api/v1/users/{user_id}",
    "2026-11-24T10:00:00.000000Z",
    "Allow(secrets:reveal)",
    "secrets:read secrets:write users:read",
    "Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
    "http://localhost:8000/path?page=2",
    "2001:db8::1",
    "UNIQUE constraint failed: users.email",
    "the password is too short",
    "10 per 15 minute",
    "token_reused",
    "password_changed",
    "a <b>bold</b> word",
    "password-reset link sent",
    "[SQL: INSERT INTO tokens (token_hash, id, kind) VALUES (?, ?, ?)]",
    "uv run manage check --deploy",
    "bypass it",
    'HTTP Request: POST https://service.example/oauth/token "HTTP/1.1 200 OK"',
)


@pytest.mark.parametrize("text", HARMLESS)
def test_keeps(text: str) -> None:
    """What is no secret stays readable."""
    assert redact_shapes(text) == text


def test_keeps_what_surrounds_a_secret() -> None:
    """The mask takes the place of the secret alone, so that the line still says what happened."""
    text = f"connecting to postgresql://app:{CANARY}@db:5432/app failed for /x?password={CANARY}&page=2"
    assert redact_shapes(text) == f"connecting to postgresql://{MASK}@db:5432/app failed for /x?password={MASK}&page=2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host=db password=two words port=5432", f"host=db password={MASK} port=5432"),
        ("run --password two words --email x", f"run --password {MASK} --email x"),
        ("GET /reset?token=abc HTTP/1.1", f"GET /reset?token={MASK} HTTP/1.1"),
        ("<user><pin>1 2</pin><id>3</id></user>", f"<user><pin>{MASK}</pin><id>3</id></user>"),
        ("password=two words\nnext line", f"password={MASK}\nnext line"),
    ],
)
def test_a_value_of_several_words_has_an_end(text: str, expected: str) -> None:
    """What follows it, and is told apart from it, stays readable."""
    assert redact_shapes(text) == expected


def test_keeps_the_statement_after_the_details_of_a_database_error() -> None:
    """The statement, which has placeholders only, remains."""
    text = f"duplicate key\nDETAIL:  Key (email)=({CANARY}) already exists.\n[SQL: INSERT INTO users]"
    assert redact_shapes(text) == f"duplicate key\nDETAIL: {MASK}\n[SQL: INSERT INTO users]"


@pytest.mark.parametrize(
    "part",
    ["a", " ", "://", "://:", "a@", "@", "%40", "eyJ", "rt_", "vrf_", "inv_", "$argon2$", "password", 'password="',
     "password ", "\\",
     "-----BEGIN PRIVATE KEY-----", "bearer ", "DETAIL: ", ")=(", "query argument $1: ", "authorization: ", "token_",
     "--password ", "--", "<", "<password>", "<password ", "password=a ", "('password',", 'name="password" value'],
)  # fmt: skip
def test_hostile_texts_cost_little(part: str) -> None:
    """No text makes a pattern run away: 4 KiB, the most that is ever looked at, stay far below a second."""
    text = (part * 4096)[:4096]
    start = time.process_time()
    redact_shapes(text)
    assert time.process_time() - start < 0.25
