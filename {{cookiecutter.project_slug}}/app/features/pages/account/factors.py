"""My second factors and passkeys: the list, what I can add, recovery codes, which are shown once."""

import asyncio
from typing import Any, Literal
from uuid import UUID

import segno
from pydantic import SecretStr
from starlette.responses import Response

from app.core.errors import Forbidden
from app.features.accounts.routes import Accounts
from app.features.factors.kinds import APP
from app.features.factors.routes import CHANGES_FACTORS, CHANGES_PASSWORD, READS_FACTORS, Factors
from app.features.factors.schemas import EnrolmentRead, FactorCreate, FactorRead
from app.features.pages.kit.page import CurrentPage, HtmlPage, PageRouter
from app.features.pages.kit.site import PagesNotice
from app.features.pages.kit.urls import FACTORS
from app.features.sessions.devices import RequestClient
from app.features.sessions.service import SetCookie
from app.http.request.body_limit import KIB

Added = Literal["totp", "passkey"]

router = PageRouter(__name__, FACTORS)


@router.page("", READS_FACTORS)
async def factors_page(page: CurrentPage, factors: Factors, accounts: Accounts) -> Response:
    """List my second factors."""
    user = await accounts.get(page.principal.user_id)
    mine, has_password = await factors.list_own(user.id), user.password_hash is not None
    return page.show("account_factors.html", factors=mine, has_password=has_password)


@router.page("/add/{kind}", READS_FACTORS)
async def begin_again(page: CurrentPage) -> Response:
    """Lead to the list who comes back to what a form had begun: it is shown once."""
    return page.go(FACTORS)


@router.form("/add/{kind}", CHANGES_FACTORS)
async def begin(kind: Added, page: CurrentPage, factors: Factors) -> Response:
    """Show what is needed for another factor: the secret of an app, or the options of a passkey."""
    return page.show(f"account_factor_{kind}.html", **await _shown(await factors.begin(page.principal, kind)))


@router.form("/add/{kind}/confirm", CHANGES_FACTORS, max_body_size=16 * KIB)
async def add(kind: Added, page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Add the factor if it is proved; the first one comes with recovery codes."""
    enrolment = SecretStr(str((await page.request.form()).get("enrolment", "")))
    begun, beside = await factors.begin(page.principal, kind, enrolment), {"code": Forbidden} if kind == APP else {}
    async with page.form(FactorCreate, f"account_factor_{kind}.html", beside, **await _shown(begun)) as typed:
        added, set_cookie = await factors.add(page.principal, typed, client)
    return _done(page, added, set_cookie)


async def _shown(begun: EnrolmentRead) -> dict[str, Any]:
    if (uri := begun.otpauth_uri) is None:
        return {"enrolment": begun}
    # Some 20 ms of computation.
    qr = await asyncio.to_thread(lambda: segno.make(uri, error="m").svg_data_uri(scale=4, light="#fff"))
    return {"enrolment": begun, "qr": qr}


@router.form("/codes", CHANGES_FACTORS)
async def remake_codes(page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Replace the recovery codes, and show the new ones."""
    return _done(page, *await factors.remake_codes(page.principal, client))


def _done(page: HtmlPage, added: FactorRead, set_cookie: SetCookie) -> Response:
    """Show recovery codes, this once, if there are new ones."""
    codes = added.recovery_codes
    shown = page.show("account_codes.html", codes=codes) if codes else page.go(FACTORS, PagesNotice.FACTORS)
    return set_cookie(shown)


@router.form("/alone", CHANGES_PASSWORD)
async def drop_password(page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Sign in with passkeys alone from now on."""
    return (await factors.drop_password(page.principal, client))(page.go(FACTORS, PagesNotice.PASSWORD_REMOVED))


@router.form("/{factor_id}/remove", CHANGES_FACTORS)
async def remove(factor_id: UUID, page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Remove one of my factors."""
    return (await factors.remove(page.principal, factor_id, client))(page.go(FACTORS, PagesNotice.FACTORS))
