"""MCP servers: their configuration, their life beside a thread, and what the model and clients see of them.

`config` and `naming` say which servers and tools there are; `server` runs one and `servers` those of a thread;
`connection` imports the SDK (with `incoming` and `http`, which it stands on), and is itself imported when the first
server starts; `login` likewise, when somebody logs in. `wire`, `specs`, `results` and `approval` are pure.
"""
