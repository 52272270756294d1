"""Variables of the environment that look like settings and are none: of a misspelt list of keys, an open service
would come."""

import difflib
import re
from collections.abc import Iterator, Mapping


def misspelt(environment: Mapping[str, str], known: set[str], prefix: str) -> Iterator[str]:
    """Complain of variables with our prefix that nothing reads; values are not repeated, since they may be keys."""
    for variable, value in environment.items():
        name = variable.upper()
        if name.startswith(prefix) and name not in known and value and not _is_of_a_cluster(name, value, prefix):
            without = name.removeprefix(prefix)
            [nearest] = [without] if without in known else difflib.get_close_matches(name, sorted(known), 1, cutoff=0)
            yield f"{variable} is not a setting; the nearest one is {nearest}."


def _is_of_a_cluster(variable: str, value: str, prefix: str) -> bool:
    """Tell what Kubernetes puts into each container for a service called ``food-vision`` or ``food-vision-…``."""
    pattern = rf"{prefix}\w*(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)\w*)"
    return bool(re.fullmatch(pattern, variable)) or (variable.endswith("_PORT") and "://" in value)
