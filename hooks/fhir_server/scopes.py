"""What an access token allows: the SMART scopes that came with it, read so that nothing is asked for in vain."""

from __future__ import annotations

import re

_SCOPE = re.compile(r"(?:patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)(?:\?.*)?")


def allows(scope: str, resource_type: str) -> bool:
    """
    Tell whether a token with these scopes may read and search a kind of resource.

    A text without any scope on resources says nothing: then the server decides.
    """
    found = [match for one in scope.split() if (match := _SCOPE.fullmatch(one))]
    if not found:
        return True
    return any(
        match[1] in {"*", resource_type}
        and (match[2] in {"read", "*"} or ({"r", "s"} & set(match[2]) and match[2] != "write"))
        for match in found
    )
