"""A server that plays GitHub on loopback, with the answers that its documentation has."""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.types import Scope

from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET, Answer, Issuer, _json, _pairs, _sha256


class GitHub(Issuer):
    """A GitHub Enterprise Server: `user` and `emails` are what its API says about who signs in."""

    def reset(self) -> None:
        """Tell the truth."""
        super().reset()
        self.user: dict[str, Any] = {
            "login": "octocat",
            "id": secrets.randbelow(10**9) + 1,
            "email": "shown@evil.example",
        }
        self.emails: object = []
        self.answer_issuer: str | None = None
        self._tokens: set[str] = set()

    def paths(self, scope: Scope, body: bytes) -> dict[str, Callable[[], Answer]]:
        """What is asked for by which path."""
        headers = dict(scope["headers"])
        return {
            "/login/oauth/authorize": lambda: self._ask(_pairs(scope["query_string"])),
            "/login/oauth/access_token": lambda: self._exchange(headers, _pairs(body)),
            "/api/v3/user": lambda: self._api(headers, self.user),
            "/api/v3/user/emails": lambda: self._api(headers, self.emails),
        }

    def _ask(self, query: dict[str, str]) -> Answer:
        assert (query["client_id"], query["code_challenge_method"]) == (CLIENT_ID, "S256")
        assert query["scope"] == "user:email"
        self.queries.append(query)
        code = secrets.token_hex(10)
        self._codes[code] = query
        answer = {"code": code, "state": query["state"]} | ({"iss": self.answer_issuer} if self.answer_issuer else {})
        return 302, {"Location": f"{query['redirect_uri']}?{urlencode(answer)}"}, b""

    def _exchange(self, headers: dict[bytes, bytes], form: dict[str, str]) -> Answer:
        assert headers[b"accept"] == b"application/json"
        if (form["client_id"], form["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            return _json({"error": "incorrect_client_credentials", "error_description": "…"})
        query = self._codes.pop(form["code"], None)
        if query is None or _sha256(form["code_verifier"]) != query["code_challenge"]:
            return _json({"error": "bad_verification_code", "error_description": "The code is incorrect or expired."})
        token = f"gho_{secrets.token_hex(18)}"
        self._tokens.add(token)
        return _json({"access_token": token, "scope": "user:email", "token_type": "bearer"})

    def _api(self, headers: dict[bytes, bytes], document: object) -> Answer:
        kind, _, token = headers.get(b"authorization", b"").decode().partition(" ")
        is_known = kind == "Bearer" and token in self._tokens and b"user-agent" in headers
        return _json(document) if is_known else _json({"message": "Bad credentials", "status": "401"}, 401)
