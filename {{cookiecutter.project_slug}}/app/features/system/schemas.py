"""Health and service information."""

from typing import Literal

from app.core.schemas import ResponseBody


class Health(ResponseBody):
    """The service is up, or ready."""

    status: Literal["ok"] = "ok"


class Info(ResponseBody):
    """The settings that a signed-in user may see."""

    app_name: str
    admin_email: str
    items_per_user: int
