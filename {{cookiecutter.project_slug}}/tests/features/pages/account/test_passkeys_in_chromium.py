"""Passkeys with a browser and its virtual authenticators: add, sign in with, remove; a phone's screen, no finding."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from tests.features.factors.steps import told
from tests.support.pages.chromium import PHONE, flaws, visiting
from tests.support.pages.site import Site, sign_in
from tests.support.service import Person

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

OLD_BROWSER = """
    delete PublicKeyCredential.parseCreationOptionsFromJSON;
    delete PublicKeyCredential.parseRequestOptionsFromJSON;
    delete PublicKeyCredential.prototype.toJSON;
"""
NO_LIST = "PublicKeyCredential.isConditionalMediationAvailable = async () => false;"


def named(site: Site) -> str:
    """The origin of the site with a name: browsers have no passkeys for an address."""
    return site.url.replace("127.0.0.1", "localhost")


class Authenticators:
    """The virtual authenticators of a page (WebDriver's section of WebAuthn)."""

    def __init__(self, cdp: CDPSession) -> None:
        self._cdp = cdp

    @classmethod
    async def of(cls, page: Page) -> "Authenticators":
        """Those of a page, none yet."""
        cdp = await page.context.new_cdp_session(page)
        await cdp.send("WebAuthn.enable")
        return cls(cdp)

    async def add(self, *, verified: bool = True, transport: str = "internal") -> str:
        """Add one, which keeps passkeys and can verify its user."""
        options = {
            "protocol": "ctap2",
            "transport": transport,
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": verified,
            "automaticPresenceSimulation": True,
        }
        added = await self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return str(added["authenticatorId"])

    async def passkeys(self, authenticator: str) -> list[dict[str, Any]]:
        """What an authenticator keeps."""
        found = await self._cdp.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
        kept: list[dict[str, Any]] = found["credentials"]
        return kept

    async def put(self, authenticator: str, passkey: dict[str, Any]) -> None:
        """Put a passkey into an authenticator, as somebody does who has a copy of it."""
        await self._cdp.send("WebAuthn.addCredential", {"authenticatorId": authenticator, "credential": passkey})

    async def verify(self, authenticator: str, *, verified: bool) -> None:
        """Let the next checks of the user succeed or fail."""
        about = {"authenticatorId": authenticator, "isUserVerified": verified}
        await self._cdp.send("WebAuthn.setUserVerified", about)

    async def remove(self, authenticator: str) -> None:
        """Take an authenticator away."""
        await self._cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})


async def add_passkey(page: Page, name: str) -> None:
    """Add a passkey on the page of the factors."""
    await page.goto("/account/factors")
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_label("What you call it").fill(name)
    assert await flaws(page) == []
    await page.get_by_role("button", name="Make the passkey").click()


async def signed_out(page: Page) -> None:
    """Sign out."""
    await page.goto("/logout")
    await page.get_by_role("main").get_by_role("button", name="Sign out").click()


async def sign_in_as(page: Page, person: Person) -> None:
    """Sign in with the password, which is enough."""
    await sign_in(page, person)
    await expect(page).to_have_url(re.compile("/account$"))


@pytest.mark.asvs("6.3.3", "7.2.4")
@pytest.mark.parametrize("old", [False, True], ids=["JSON of the browser", "JSON of the script"])
async def test_the_whole_way_of_passkeys(chromium: Browser, site: Site, *, old: bool) -> None:
    """Two of them: alone by the button, after the password, and instead of the password once more; both are removed."""
    person = await site.person()
    async with visiting(chromium, named(site), viewport=PHONE) as (page, _):
        await page.add_init_script(NO_LIST + (OLD_BROWSER if old else ""))
        authenticators = await Authenticators.of(page)
        own = await authenticators.add()
        await sign_in_as(page, person)
        await add_passkey(page, "Telephone")
        await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        await add_passkey(page, "Again")
        await expect(page.get_by_text("has a passkey of your account already")).to_be_visible()
        assert await flaws(page) == []
        await signed_out(page)
        await page.goto("/login?next=/account/sessions")
        assert await flaws(page) == []
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page).to_have_url(f"{named(site)}/account/sessions")
        key = await authenticators.add(transport="usb")
        await add_passkey(page, "Key")
        await expect(page.get_by_text("Telephone")).to_be_visible()
        assert len(await authenticators.passkeys(key)) == 1
        await expect(page.get_by_text("last used")).to_be_visible()
        assert await flaws(page) == []
        await authenticators.remove(own)
        await signed_out(page)
        await sign_in(page, person)
        await expect(page).to_have_url(f"{named(site)}/account")
        await page.goto("/confirm?next=/account/factors")
        assert await flaws(page) == []
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page).to_have_url(f"{named(site)}/account/factors")
        for name in ("Telephone", "Key"):
            await page.get_by_role("button", name=f"Remove: {name}").click()
            await expect(page.get_by_role("button", name=f"Remove: {name}")).to_have_count(0)
        await expect(page.get_by_text("You have none yet")).to_be_visible()


async def test_the_list_of_the_address_field_offers_the_passkey(chromium: Browser, site: Site) -> None:
    """Conditional mediation: the browser signs in without a button (a virtual authenticator picks by itself)."""
    person = await site.person()
    async with visiting(chromium, named(site)) as (page, _):
        authenticators = await Authenticators.of(page)
        await authenticators.add()
        await sign_in_as(page, person)
        await add_passkey(page, "Telephone")
        await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        await signed_out(page)
        await page.goto("/login?next=/account/sessions")
        await expect(page).to_have_url(f"{named(site)}/account/sessions")


@pytest.mark.asvs("6.3.3")
async def test_a_user_who_is_not_verified_and_a_copied_passkey_are_refused(chromium: Browser, site: Site) -> None:
    """The page says so, and stays; the owner gets a mail about the copy."""
    person = await site.person()
    async with visiting(chromium, named(site)) as (page, _):
        await page.add_init_script(NO_LIST)
        authenticators = await Authenticators.of(page)
        own = await authenticators.add()
        await sign_in_as(page, person)
        await add_passkey(page, "Telephone")
        await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        (passkey,) = await authenticators.passkeys(own)
        await signed_out(page)
        await authenticators.verify(own, verified=False)
        await page.goto("/login")
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_text("No passkey was used")).to_be_visible()
        await authenticators.verify(own, verified=True)
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page).to_have_url(f"{named(site)}/account")
        await signed_out(page)
        await authenticators.remove(own)
        await authenticators.put(await authenticators.add(), passkey)
        await page.goto("/login")
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_text("wrong, or was used before")).to_be_visible()
        assert await flaws(page) == []
    assert await told(site.mailbox, person.email, "may have copied it")


async def test_without_script_a_passkey_is_not_offered_and_the_rest_works(chromium: Browser, site: Site) -> None:
    """The pages say that passkeys need JavaScript; the password signs in."""
    person = await site.person()
    async with visiting(chromium, named(site), java_script_enabled=False) as (page, _):
        await page.goto("/login")
        await expect(page.get_by_text("needs JavaScript")).to_be_visible()
        await expect(page.get_by_role("button", name="Use a passkey")).to_have_count(0)
        await sign_in(page, person)
        await page.goto("/account/factors")
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.get_by_text("Making a passkey needs JavaScript")).to_be_visible()
        await expect(page.get_by_role("button", name="Make the passkey")).to_have_count(0)
