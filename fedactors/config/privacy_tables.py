"""The configuration's tables about what others may learn from updates."""

from __future__ import annotations

from fedactors.config.table import Options, Table


class SecureTable(Table):
    """How updates are added up by a controller that cannot read them.

    Attributes:
        method: of secure aggregation; without one, the controller sees every update.
        options: of this method.
    """

    method: str | None = None
    options: Options = {}
