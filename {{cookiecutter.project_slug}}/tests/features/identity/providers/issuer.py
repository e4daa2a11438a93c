"""A provider of OpenID Connect on loopback, over real HTTP, that tells the truth or any lie that a test asks for."""

import asyncio
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.types import Receive, Scope, Send

from tests.support.processes.server import HOST, free_port

CLIENT_ID, CLIENT_SECRET = "the-service", "a made-up secret of the client"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "one"}) for _ in range(2))

Answer = tuple[int, dict[str, str], bytes]


class Issuer:
    """Who signs in is `person`; every other attribute is put back by `reset`."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.reset()

    def reset(self) -> None:
        """Tell the truth."""
        self.person: dict[str, Any] = {"sub": secrets.token_hex(8)}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.key = KEY
        self.keys = [KEY]
        self.sign: Callable[[dict[str, Any], dict[str, Any]], str] = self.sign_with_key
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.seconds = 0.0
        self.asked: list[str] = []
        self.queries: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}

    def sign_with_key(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """Sign as an issuer does."""
        return jwt.encode(header, claims, self.key, algorithms=["RS256"])

    def logout_token(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Say that a session has ended, or any lie about it; None leaves a claim out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8)}
        claims |= {"events": {LOGOUT_EVENT: {}}, **changes}
        said = {name: value for name, value in claims.items() if value is not None}
        named = {"alg": "RS256", "kid": "one", "typ": "logout+jwt", **(header or {})}
        return self.sign({name: value for name, value in named.items() if value is not None}, said)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        path, body = scope["path"], b""
        self.asked.append(path)
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message.get("more_body"):
                break
        await asyncio.sleep(self.seconds)
        status, headers, content = (self.paths(scope, body) | self.answers)[path]()
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})

    def paths(self, scope: Scope, body: bytes) -> dict[str, Callable[[], Answer]]:
        """What is asked for by which path."""
        return {
            "/.well-known/openid-configuration": lambda: _json(self._metadata()),
            "/keys": lambda: _json({"keys": [key.as_dict(private=False) for key in self.keys]}),
            "/authorize": lambda: self._authorize(_pairs(scope["query_string"])),
            "/token": lambda: self._token(dict(scope["headers"]), _pairs(body)),
        }

    def _metadata(self) -> dict[str, Any]:
        own = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "authorization_response_iss_parameter_supported": True,
        }
        return own | self.discovery

    def _authorize(self, query: dict[str, str]) -> Answer:
        assert query["client_id"] == CLIENT_ID
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        assert "openid" in query["scope"].split()
        self.queries.append(query)
        code = secrets.token_urlsafe()
        self._codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.url}
        return 302, {"Location": f"{query['redirect_uri']}?{urlencode(answer)}"}, b""

    def _token(self, headers: dict[bytes, bytes], form: dict[str, str]) -> Answer:
        query, given = self._codes.pop(form["code"], None), b64decode(headers[b"authorization"].partition(b" ")[2])
        if query is None or given.decode() != f"{CLIENT_ID}:{CLIENT_SECRET}":
            return _json({"error": "invalid_grant"}, 400)
        assert form["redirect_uri"] == query["redirect_uri"]
        assert _sha256(form["code_verifier"]) == query["code_challenge"]
        now, access_token = int(time.time()), secrets.token_urlsafe()
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": query["nonce"]}
        half = urlsafe_b64encode(sha256(access_token.encode()).digest()[:16]).decode().rstrip("=")
        claims |= {"at_hash": half, **self.person, **self.claims}
        said = {name: value for name, value in claims.items() if value is not None}
        id_token = self.sign({"alg": "RS256", "kid": "one"} | self.header, said)
        return _json({"access_token": access_token, "token_type": "Bearer", "id_token": id_token})


def _json(document: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _pairs(text: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text.decode()).items()}


def _sha256(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")


@contextmanager
def serving(issuer: Issuer) -> Iterator[Issuer]:
    """Serve it from a thread of its own."""
    config = uvicorn.Config(issuer, HOST, issuer.port, log_level="critical", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield issuer
    finally:
        server.should_exit = True
        thread.join(10)
