"""`[mcp_servers.NAME]`: what is understood, what is refused and in which words; keeping an approval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import config as configuration
from engine.config import ConfigError
from engine.mcp import config
from engine.mcp.keep import keep_approval


def load(home: Path, servers: dict[str, Any]) -> dict[str, config.ServerConfig]:
    return config.servers(configuration.load(home, {"mcp_servers": servers}, home))


def test_servers_come_in_name_order_with_their_defaults(tmp_path: Path) -> None:
    found = load(tmp_path, {"b": {"command": "x"}, "a": {"url": "http://h/", "enabled": False}})
    assert list(found) == ["a", "b"]
    assert (found["a"].enabled, found["b"].enabled, found["b"].required) == (False, True, False)
    assert (found["b"].startup_seconds, found["b"].tool_seconds) == (30.0, 120.0)
    assert found["b"].offers("anything") and found["b"].mode("anything") == "auto"


def test_everything_a_server_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        """
        [mcp_servers.s]
        command = "prog"
        args = ["-a"]
        env = { A = "1" }
        env_vars = ["B", { name = "C" }]
        cwd = "/tmp"
        required = true
        supports_parallel_tool_calls = true
        startup_timeout_sec = 1.5
        tool_timeout_sec = 3
        enabled_tools = ["one", "two"]
        disabled_tools = ["two"]
        default_tools_approval_mode = "prompt"
        [mcp_servers.s.tools.one]
        approval_mode = "approve"
        [mcp_servers.h]
        url = "http://h/mcp"
        bearer_token_env_var = "TOKEN"
        http_headers = { X-A = "1" }
        env_http_headers = { X-B = "B" }
        startup_timeout_ms = 500
        """
    )
    found = config.servers(configuration.load(tmp_path, {}, tmp_path))
    server = found["s"]
    assert (server.command, server.args, server.env, server.env_vars, server.cwd) == (
        "prog",
        ("-a",),
        {"A": "1"},
        ("B", "C"),
        "/tmp",
    )
    assert (server.supports_parallel_tool_calls, found["h"].supports_parallel_tool_calls) == (True, False)
    assert (server.required, server.startup_seconds, server.tool_seconds) == (True, 1.5, 3)
    assert [server.offers(tool) for tool in ("one", "two", "three")] == [True, False, False]
    assert [server.mode(tool) for tool in ("one", "three")] == ["approve", "prompt"]
    assert (found["h"].http_headers, found["h"].env_http_headers) == ({"X-A": "1"}, {"X-B": "B"})
    assert (found["h"].bearer_token_env_var, found["h"].startup_seconds) == ("TOKEN", 0.5)


@pytest.mark.parametrize(
    ("server", "reason", "where"),
    [
        ({"command": "a", "url": "http://x"}, "url is not supported for stdio", "x"),
        ({"command": "a", "bearer_token_env_var": "b"}, "bearer_token_env_var is not supported for stdio", "x"),
        ({"url": "http://x", "args": []}, "args is not supported for streamable_http", "x"),
        ({"url": "http://x", "bearer_token": "b"}, "bearer_token is not supported for streamable_http", "x"),
        ({}, "invalid transport", "x"),
        ({"command": 3}, "invalid type: integer `3`, expected a string", "x.command"),
        ({"command": "a", "args": "b"}, 'invalid type: string "b", expected a sequence', "x.args"),
        (
            {"command": "a", "startup_timeout_sec": -1},
            "cannot convert float seconds to Duration: value is negative",
            "x",
        ),
        (
            {"command": "a", "startup_timeout_sec": "q"},
            'invalid type: string "q", expected f64',
            "x.startup_timeout_sec",
        ),
        ({"command": "a", "enabled": "q"}, 'invalid type: string "q", expected a boolean', "x.enabled"),
        (
            {"command": "a", "tools": {"t": {"approval_mode": "q"}}},
            "unknown variant `q`, expected one of `auto`, `prompt`, `approve`",
            "x.tools.t.approval_mode",
        ),
        (
            {"command": "a", "tool_timeout_sec": -1},
            "cannot convert float seconds to Duration: value is negative",
            "x.tool_timeout_sec",
        ),
        (
            {"command": "a", "startup_timeout_sec": 1e300},
            "cannot convert float seconds to Duration: value is either too big or NaN",
            "x",
        ),
        ({"command": "a", "cwd": 5}, "invalid type: integer `5`, expected path string", "x.cwd"),
        ({"command": "a", "oauth_resource": "r"}, "oauth_resource is not supported for stdio", "x"),
        (
            {"command": "a", "tools": {"t": 1}},
            "invalid type: integer `1`, expected struct McpServerToolConfig",
            "x.tools.t",
        ),
        (
            {"command": "a", "env_vars": [{"name": "A", "source": "mars"}]},
            "unsupported env_vars source `mars`; expected `local` or `remote`",
            "x",
        ),
        (3, "invalid type: integer `3`, expected struct RawMcpServerConfig", "x"),
    ],
)
def test_a_bad_server_is_refused_in_the_words_of_the_reference(
    tmp_path: Path, server: Any, reason: str, where: str
) -> None:
    """All recorded."""
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, {"x": server})
    assert str(refused.value) == f"{reason}\nin `mcp_servers.{where}`\n"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"experimental_environment": "remote"}, "remote MCP server `x` requires a remote executor environment"),
        (
            {"env_vars": [{"name": "A", "source": "remote"}]},
            "env_vars entry `A` uses source `remote`, which requires remote MCP stdio",
        ),
        ({"env_vars": [{"name": "A", "source": "local"}], "experimental_environment": "local"}, None),
    ],
)
def test_a_server_for_another_machine_does_not_run_here(
    tmp_path: Path, table: dict[str, Any], reason: str | None
) -> None:
    """Recorded."""
    assert load(tmp_path, {"x": {"command": "a", **table}})["x"].elsewhere == reason


def test_a_project_may_switch_off_what_the_user_has_configured(tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    (project / ".codex").mkdir(parents=True)
    home.mkdir()
    (home / "config.toml").write_text(
        f'[mcp_servers.s]\ncommand = "x"\n[projects."{project}"]\ntrust_level = "trusted"\n'
    )
    (project / ".codex" / "config.toml").write_text("[mcp_servers.s]\nenabled = false\n")
    [server] = config.servers(configuration.load(home, {}, project)).values()
    assert (server.command, server.enabled) == ("x", False)


def test_an_approval_for_ever_is_one_more_table(tmp_path: Path) -> None:
    """Recorded: `[mcp_servers.S.tools.T] approval_mode = "approve"`."""
    file = tmp_path / "config.toml"
    file.write_text('# mine\n[mcp_servers.my-srv]\ncommand = "x" # here\n\n[other]\na = 1\n')
    assert keep_approval(tmp_path, "my-srv", "do-it")
    text = file.read_text()
    assert '[mcp_servers.my-srv.tools.do-it]\napproval_mode = "approve"' in text
    assert text.startswith('# mine\n[mcp_servers.my-srv]\ncommand = "x" # here\n') and "[other]\na = 1" in text
    assert configuration.load(tmp_path, {}, tmp_path).get("mcp_servers.my-srv.tools.do-it.approval_mode") == "approve"


def test_nothing_is_kept_for_a_server_from_elsewhere(tmp_path: Path) -> None:
    assert not keep_approval(tmp_path, "plugin-server", "do-it")
    assert not (tmp_path / "config.toml").exists()
