"""The files that pages need: read once, served from memory, named by their content so that a browser may keep them."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.policies import Public, policy
from app.core.errors import NotFound
from app.core.services import services_of
from app.features.pages.kit.route import PageRoute

FOLDER = Path(__file__).with_name("static")
PREFIX = "/assets"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(route_class=PageRoute)


class _Asset(NamedTuple):
    content: bytes
    media_type: str
    version: str


class Assets:
    """The files of a folder and of those in it, by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.name: _Asset(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
            for content in [path.read_bytes()]
        }

    def url(self, name: str) -> str:
        """Where a browser finds the file as it is now; raises `KeyError` where there is none."""
        return f"{PREFIX}/{self._files[name].version}/{name}"

    def get(self, version: str, name: str) -> Response:
        """The file; raises `NotFound` for any other name, or another version of it."""
        asset = self._files.get(name)
        if asset is None or asset.version != version:
            raise NotFound("There is no such file.")
        return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": _FOR_EVER})


@router.get(PREFIX + "/{version}/{name}")
@policy(Public())
async def asset(version: str, name: str, request: Request) -> Response:
    """A file that pages need. It is the same for everybody."""
    return services_of(request.app)[Assets].get(version, name)
