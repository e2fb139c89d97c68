"""Generator of `projections/protocol`: published JSON Schemas in, msgspec Structs out.

`python -m tools.protocol` writes the package from `schemas.json`, `--check` compares instead. `schemas.json` is
made by `python -m tools.protocol vendor` from the output of the reference's own schema commands; it keeps what
those say about names, types, wire order and experimental parts, and drops the prose.
"""
