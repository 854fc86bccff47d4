"""Where committed global models live; the name of a backend is its URL scheme.

    base    the interface: Storage
    memory  in this process, for as long as it runs

A new backend is one file here and one entry point in the group `fedactors.storage`;
`fedactors.testing.check_store` tests it.
"""

from fedactors.storage.base import Storage

__all__ = ["Storage"]
