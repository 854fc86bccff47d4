"""gRPC itself, imported from here only: before it loads, it must be told to log no notes on other people's goodbyes."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc

__all__ = ["grpc"]
