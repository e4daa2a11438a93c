"""What the API takes, for tests that call every route: a feature adds its own in `tests/features/NAME/samples.py`.

- `BODIES` has for each write, such as `POST /api/v1/notes`, a body with which it succeeds; `{note_id}` in it is a name.
- `LEFT_OUT` are fields that no body needs.
- `names(service, tokens)` makes what the paths of its routes name, and returns it: `{"note_id": …}`.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from app.features.installed import FEATURES
from tests.support.service import Service, Tokens


class Samples(NamedTuple):
    """The samples of a feature."""

    bodies: Mapping[str, Mapping[str, Any]]
    left_out: frozenset[str]
    names: Callable[[Service, Tokens], Awaitable[dict[str, str]]]


def _of(feature: str) -> Samples | None:
    place = f"tests.features.{feature}"
    if find_spec(place) is None or find_spec(f"{place}.samples") is None:
        return None
    module = import_module(f"{place}.samples")
    return Samples(module.BODIES, module.LEFT_OUT, module.names)


SAMPLES = [samples for feature in FEATURES if (samples := _of(feature.name)) is not None]
