"""Pages and what the API has for the same: no page does, or shows, for less what the API asks more for."""

from collections.abc import Mapping

from fastapi import FastAPI

from app.access.guard import route_policies
from app.access.policies import Policy, Public, Recent
from app.commands.routes import table_of


def is_as_strict(page: Policy, api: Policy) -> bool:
    """Whether whom the page lets in, the API would let in too."""
    if isinstance(api, Public):
        return True
    if getattr(page, "permission", None) != getattr(api, "permission", None) or isinstance(page, Public):
        return False
    return not isinstance(api, Recent) or (isinstance(page, type(api)) and page.minutes <= api.minutes)


def compare(app: FastAPI, feature: str, counterparts: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
    """The pages of the feature that are laxer than their counterpart, and those that nobody has compared.

    `counterparts` has `METHOD path` of the API for each `METHOD path` of a page, or None if the API has nothing of it.
    """
    policies = {f"{method} {path}": policy for method, path, policy in route_policies(app)}
    pages = {" ".join(line.split()[:2]) for line in table_of(app)[feature]}
    laxer = [
        f"{page}: {policies[page]}, {api}: {policies[api]}"
        for page, api in counterparts.items()
        if api is not None and not is_as_strict(policies[page], policies[api])
    ]
    return laxer, sorted(pages ^ counterparts.keys())
