"""`make run`: a whole session on the embedded demo provider, with a real server process, a real client, real files."""
