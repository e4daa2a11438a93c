"""What the service says about itself."""

from typing import Literal

from app.core.schemas import ResponseBody


class Health(ResponseBody):
    """That the service is up, or ready."""

    status: Literal["ok"] = "ok"


class Info(ResponseBody):
    """The settings that a signed-in user may see."""

    app_name: str
    admin_email: str
    items_per_user: int
