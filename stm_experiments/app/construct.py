"""From plain data to objects: the only place that builds what a config names."""

from functools import partial
from typing import Any

from stm_experiments.app.allow import PARTIAL, TARGET, allowed_class


def construct(node: object, **settings: Any) -> Any:
    """Build the objects that plain data describe; text is never resolved.

    A mapping with ``_target_`` becomes an object of that class, or with ``_partial_`` a function
    that builds it later. All other mappings and lists are searched for such nodes.

    Args:
        node: Nested dicts, lists and values, as ``refuse_unknown_targets`` checks them.
        settings: Further keyword arguments of the outermost object.

    Raises:
        PermissionError: If a class is not allowed, or not with these keywords.
    """
    if isinstance(node, list):
        return [construct(value) for value in node]
    if not isinstance(node, dict):
        return node
    if TARGET not in node:
        return {key: construct(value) for key, value in node.items()}
    build = allowed_class(node)
    keywords = {key: construct(v) for key, v in node.items() if key not in (TARGET, PARTIAL)}
    if node.get(PARTIAL, False):
        return partial(build, **keywords, **settings)
    return build(**keywords, **settings)
