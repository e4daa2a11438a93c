"""My second factors: the list, an authenticator app to add, recovery codes, which are shown once."""

from typing import Any
from uuid import UUID

import segno
from pydantic import SecretStr
from starlette.responses import Response

from app.core.errors import Forbidden
from app.features.factors.routes import CHANGES_FACTORS, READS_FACTORS, Factors
from app.features.factors.schemas import EnrolmentRead, FactorCreate, FactorRead
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage, HtmlPage, PageRouter
from app.features.pages.kit.urls import FACTORS
from app.features.sessions.client import RequestClient
from app.features.sessions.service import SetCookie

router = PageRouter(__name__, FACTORS)


@router.page("", READS_FACTORS)
async def factors_page(page: CurrentPage, factors: Factors) -> Response:
    """List my second factors."""
    return page.show("account_factors.html", factors=await factors.list_own(page.principal.user_id))


@router.form("/app", CHANGES_FACTORS)
async def begin(page: CurrentPage, factors: Factors) -> Response:
    """Show the secret of a new authenticator app."""
    return page.show("account_factor_app.html", **_shown(await factors.begin(page.principal)))


@router.form("/app/confirm", CHANGES_FACTORS)
async def add(page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Add the app if it shows the right code; the first one comes with recovery codes."""
    enrolment = SecretStr(str((await page.request.form()).get("enrolment", "")))
    begun = await factors.begin(page.principal, enrolment)
    async with page.form(FactorCreate, "account_factor_app.html", {"code": Forbidden}, **_shown(begun)) as typed:
        added, set_cookie = await factors.add(page.principal, enrolment, typed.code, typed.name, client)
    return _done(page, added, set_cookie)


def _shown(enrolment: EnrolmentRead) -> dict[str, Any]:
    code = segno.make(enrolment.otpauth_uri, error="m")
    return {"enrolment": enrolment, "qr": code.svg_data_uri(scale=4, light="#fff")}


@router.form("/codes", CHANGES_FACTORS)
async def remake_codes(page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Replace the recovery codes, and show the new ones."""
    return _done(page, *await factors.remake_codes(page.principal, client))


def _done(page: HtmlPage, added: FactorRead, set_cookie: SetCookie) -> Response:
    """Show recovery codes, this once, if there are new ones."""
    codes = added.recovery_codes
    shown = page.show("account_codes.html", codes=codes) if codes else page.go(FACTORS, PagesNotice.FACTORS)
    return set_cookie(shown)


@router.form("/{factor_id}/remove", CHANGES_FACTORS)
async def remove(factor_id: UUID, page: CurrentPage, factors: Factors, client: RequestClient) -> Response:
    """Remove one of my factors."""
    set_cookie = await factors.remove(page.principal, factor_id, client)
    return set_cookie(page.go(FACTORS, PagesNotice.FACTORS))
