"""Sessions of browsers, by a cookie, as a feature."""

from app.feature import Feature, ResealJob
from app.features.browser.events import BrowserEvent
from app.features.browser.service import BROWSER_KEY, BrowserSession, BrowserSessions

BROWSER = Feature(
    name="browser",
    uses=("accounts", "sessions"),
    provide=BrowserSessions,
    tables=(BrowserSession,),
    events=(BrowserEvent,),
    keys=(BROWSER_KEY,),
    reseal=(ResealJob("browser sessions", lambda services: services[BrowserSessions]),),
)
