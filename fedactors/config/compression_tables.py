"""The configuration's table about the form in which updates travel."""

from __future__ import annotations

from fedactors.config.table import Options, Table


class CompressionTable(Table):
    """How updates are made smaller on their way to the controller. Versions always travel as they are.

    Attributes:
        updates: a form; without one, updates travel as they are.
        options: of this form.
    """

    updates: str | None = None
    options: Options = {}
