"""Write the JSON schema of a federation's file: `python -m fedactors.config > schemas/federation.schema.json`."""

import json
import sys

from fedactors.config import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
