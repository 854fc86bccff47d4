"""Code generated from schemas/ by `python schemas/generate.py`; not to be edited."""
