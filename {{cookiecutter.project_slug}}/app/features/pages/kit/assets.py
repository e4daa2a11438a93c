"""The files of the pages: read once, served from memory, and named by their content so that browsers can cache them."""

import hashlib
from pathlib import Path

from starlette.responses import Response

from app.core.errors import NotFound

FOLDER = Path(__file__).with_name("static")
PREFIX = "/assets"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class Assets:
    """The files of a folder and of its subfolders, by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        files = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES)
        self._files = {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in files}
        self._versions = {name: hashlib.sha256(content).hexdigest()[:16] for name, (content, _) in self._files.items()}

    def url(self, name: str) -> str:
        """Return the URL of the file as it is now; raises `KeyError` for an unknown name."""
        return f"{PREFIX}/{self._versions[name]}/{name}"

    def get(self, version: str, name: str) -> Response:
        """Return the file; raises `NotFound` for any other name, or another version of it."""
        if self._versions.get(name) != version:
            raise NotFound("There is no such file.")
        content, media_type = self._files[name]
        return Response(content, media_type=media_type, headers={"Cache-Control": _FOR_EVER})
