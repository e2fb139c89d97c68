"""The apply_patch capability: read a patch, check it against the files, write them, say what changed.

`parse` and `shell` read text, `plan` (with `match`) checks without writing, `apply` writes, `diff` and `turn_diff`
show, `stream` follows a patch that the model is still writing. Only `apply` and `files` touch the disk.
"""
