"""The tokens that people find in their mail, and the account routes that take them."""

import re
from typing import Any

import httpx2

from app.features.accounts.mailed.mails import TEMPLATES, AccountMail
from tests.support.records.mail import Mailbox, bodies, until
from tests.support.service import Service

TOKEN = re.compile(r"\b(?:vrf|pwr|eml|inv)_[A-Za-z0-9_-]{43}\b")
PASSWORD = "seven unlikely words stand in this row"  # every account that a test registers begins with it


class Post:
    """Sends what people send, and reads their mail as it was delivered."""

    def __init__(self, service: Service, mailbox: Mailbox) -> None:
        self.service = service
        self.mailbox = mailbox

    async def __call__(self, path: str, body: dict[str, Any], **options: Any) -> httpx2.Response:
        """Send a body to a route below `/api/v1`."""
        return await self.service.client.post(f"/api/v1{path}", json=body, **options)

    async def register(self, email: str, password: str = PASSWORD, **more: Any) -> None:
        """Register, which is always accepted."""
        answer = await self("/accounts", {"email": email, "password": password, **more})
        assert (answer.status_code, answer.content) == (202, b"null"), answer.text

    async def forgot(self, email: str) -> None:
        """Ask for a new password, which is always accepted."""
        answer = await self("/accounts/password/forgot", {"email": email})
        assert (answer.status_code, answer.content) == (202, b"null"), answer.text

    async def verify(self, token: str) -> int:
        """Confirm an address: the status."""
        return (await self("/accounts/verify", {"token": token})).status_code

    async def reset(self, token: str, password: str = PASSWORD, **options: Any) -> int:
        """Set a password: the status."""
        return (
            await self("/accounts/password/reset", {"token": token, "new_password": password}, **options)
        ).status_code

    async def text(self, to: str, number: int = 1) -> str:
        """The text of that mail to the address, once it is there; it is the last one."""
        messages = await self.mailbox.wait(to, number)
        assert len(messages) == number
        return bodies(messages[-1])[0]

    async def token(self, to: str, number: int = 1) -> str:
        """The token in that mail."""
        (token,) = set(TOKEN.findall(await self.text(to, number)))
        return str(token)

    async def mailed_token(self, to: str, number: int = 1) -> str:
        """The token of that mail to the address which has one: alerts to its owner are passed over."""

        def found() -> list[str]:
            texts = [bodies(message)[0] for message in self.mailbox.messages(to)]
            tokens = [token for text in texts for token in dict.fromkeys(TOKEN.findall(text))]
            return tokens if len(tokens) >= number else []

        return str((await until(found))[number - 1])


def with_the_texts_for_clients(post: Post) -> Post:
    """Have its mails say what a client of the API sends, as they do where nothing else takes their place."""
    mail = post.service[AccountMail]
    mail.folders = (TEMPLATES, *mail.folders)
    return post
