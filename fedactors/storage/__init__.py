"""Where models live: the versions of the global model, and what learners sent; the name of a backend is its URL scheme.

    base        the interface: Storage
    entries     what is kept, and what is said of it
    memory      in this process, for as long as it runs
    file        in a directory: slots (files of one model each), index (which slot holds which)
    redis       in a Redis or Valkey server: redis_shelf (models in chunks), redis_link (a connection that comes back)
    shelved     a Storage but for its place: library (every decision) over catalogue (what there is, what makes room)
    shelf       the place: what a backend has to do

A new backend is one file here, most easily a Shelf, and one entry point in the group `fedactors.storage`;
`fedactors.testing.check_store` tests it.
"""

from fedactors.storage.base import ANYWHERE, Home, Storage
from fedactors.storage.entries import Entry, Facts, Key, LearnerModel, Statistics

__all__ = ["ANYWHERE", "Entry", "Facts", "Home", "Key", "LearnerModel", "Statistics", "Storage"]
