"""MCP servers: their configuration, their life beside a thread, and what the model and clients see of them.

`config` and `naming` say which servers and tools there are; `server` runs one and `servers` those of a thread;
`connection` is the only module that imports the SDK, and is itself imported when the first server starts;
`specs`, `results` and `approval` are pure.
"""
