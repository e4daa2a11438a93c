"""Sessions of browsers, by a cookie, as a feature."""

from app.access.guard import Authentication
from app.core.services import Services
from app.feature import Feature, ResealJob
from app.features.browser.events import BrowserEvent
from app.features.browser.service import BROWSER_KEY, BrowserSession, BrowserSessions
from app.features.sessions.service import SessionService


def provide(services: Services) -> None:
    """Provide browser sessions, and let their cookie say who sends a request without other credentials."""
    browsers = services.add(BrowserSessions(services))
    services[Authentication].prefer(browsers)
    services[SessionService].renew_cookie = browsers.renew


BROWSER = Feature(
    name="browser",
    uses=("accounts", "sessions"),
    provide=provide,
    tables=(BrowserSession,),
    events=(BrowserEvent,),
    keys=(BROWSER_KEY,),
    reseal=(ResealJob("browser sessions", lambda services: services[BrowserSessions]),),
)
