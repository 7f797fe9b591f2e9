"""What may be said about redaction, and what is refused when it is said."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from mlwatch.errors import ConfigurationError

ACTIONS: Final = ("drop", "hash", "mask")
"""What can be done to a feature by name."""

Redact: TypeAlias = Mapping[str, str | Callable[[Any], Any]] | Callable[[dict[str, Any]], Any]
"""Features by name, each with an action or a function of its value; or a function of them all."""

_SHORTEST_KEY = 16


def check_redaction(what: str, redact: Redact | None, key: bytes | str | None) -> None:
    """Refuse a redaction that cannot be right.

    Args:
        what: Where it was said, for the message.
        redact: Features by name, each with an action or a function of its value; or a function
            of the whole mapping.
        key: The secret for "hash".

    Raises:
        ConfigurationError: It cannot be right; the message names the remedy, and never the key.
    """
    if key is not None and (not isinstance(key, bytes | str) or len(key) < _SHORTEST_KEY):
        raise ConfigurationError(
            f"{what}(redact_key=...): must be bytes or a text of at least {_SHORTEST_KEY}, such as "
            "secrets.token_hex(32) gives once; keep it where the service keeps its secrets"
        )
    if redact is None or callable(redact):
        return
    if not isinstance(redact, Mapping):
        raise ConfigurationError(
            f'{what}(redact=...): must be a mapping such as {{"email": "drop"}}, or a function of '
            f"the features, not a {type(redact).__name__}"
        )
    for name, action in redact.items():
        _check_action(what, name, action)
        if action == "hash" and key is None:
            raise ConfigurationError(
                f"{what}(redact=...): to hash {name!r} give redact_key=, a secret that is the same "
                "in every process and where the reference is fitted; secrets.token_hex(32) makes "
                "one"
            )


def _check_action(what: str, name: object, action: object) -> None:
    if not isinstance(name, str):
        raise ConfigurationError(
            f"{what}(redact=...): {name!r} is no name of a feature; names are texts, also those "
            "of features recorded under other keys"
        )
    if callable(action) or (isinstance(action, str) and action in ACTIONS):
        return
    near = difflib.get_close_matches(str(action), ACTIONS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigurationError(
        f"{what}(redact={{{name!r}: {action!r}}}): {hint}An action is one of "
        f"{', '.join(map(repr, ACTIONS))} or a function of the value"
    )
