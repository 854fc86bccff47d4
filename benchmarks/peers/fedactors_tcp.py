"""Ourselves, as fedactors_grpc.py, but over plain TCP."""

import json
from dataclasses import asdict

from fedactors_grpc import measure

if __name__ == "__main__":
    print(json.dumps(asdict(measure("tcp"))), flush=True)
