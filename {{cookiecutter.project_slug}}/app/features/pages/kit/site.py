"""What features add to the pages."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from app.features.pages.kit.notices import Notice


class AccountLink(NamedTuple):
    """A page of the own account, for its navigation."""

    path: str
    label: str


class Site:
    """Folders of templates, texts of notices, pages of the account, and what is deleted with an account."""

    def __init__(self) -> None:
        self.templates: list[Path] = []
        self.notices: dict[str, str] = {}
        self.account_links: list[AccountLink] = []
        self.goes_with_account: list[str] = []

    def add(
        self,
        *,
        templates: Path | None = None,
        notices: Iterable[Notice] = (),
        account_links: Iterable[AccountLink] = (),
        goes_with_account: str | None = None,
    ) -> None:
        """Add the part of a feature; `goes_with_account` completes "With the account go …"."""
        self.templates += [] if templates is None else [templates]
        self.notices |= {str(notice): notice.text for notice in notices}
        self.account_links += account_links
        self.goes_with_account += [] if goes_with_account is None else [goes_with_account]
