"""A place to run in: home, workspace and user folder of one test, with a mock model behind the only provider."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.programs import ROOT

MODEL = "gpt-5.1-codex"
#: Variables of the caller that programs get to see; everything else would make runs differ.
_KEPT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Place:
    """Folders below `root`: CODEX_HOME of the servers, of terminal clients, the workspace, HOME."""

    root: Path

    @property
    def home(self) -> Path:
        """CODEX_HOME of the servers."""
        return self.root / "home"

    @property
    def client_home(self) -> Path:
        """CODEX_HOME of a terminal client, which keeps nothing of a session."""
        return self.root / "client"

    @property
    def workspace(self) -> Path:
        """The workspace, and the working directory of everything that runs."""
        return self.root / "workspace"

    def furnish(self, base_url: str) -> None:
        """Make the folders and both configurations."""
        for folder in (self.home, self.client_home, self.workspace, self.root / "user", self.root / "tmp"):
            folder.mkdir(parents=True)
        self.configure(base_url)

    def configure(self, base_url: str, **settings: str) -> None:
        """Write both configurations; `settings` are top-level keys that replace ours."""
        text = _config(base_url, self.workspace, settings)
        (self.home / "config.toml").write_text(text)
        # Keys come as fast as from a paste, which an Enter does not end.
        (self.client_home / "config.toml").write_text("disable_paste_burst = true\n" + text)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a program that runs here."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {
            "CODEX_HOME": str(self.home),
            "HOME": str(self.root / "user"),
            "TMPDIR": str(self.root / "tmp"),
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
        }
        return kept | own | more

    def rollouts(self) -> list[Path]:
        """The rollout files of live threads, oldest first."""
        return sorted(self.home.glob("sessions/**/rollout-*.jsonl"))

    def rollout(self, thread_id: str) -> Path:
        """The rollout file of a live thread."""
        (path,) = self.home.glob(f"sessions/**/rollout-*{thread_id}.jsonl")
        return path

    def lines(self, thread_id: str) -> list[dict[str, Any]]:
        """The lines of a thread. A glued, torn or empty one does not parse."""
        text = self.rollout(thread_id).read_text()
        assert text.endswith("\n"), "the file ends in a torn line"
        return [json.loads(line) for line in text[:-1].split("\n")]


def _config(base_url: str, workspace: Path, settings: dict[str, str]) -> str:
    top = {
        "model": MODEL,
        "model_provider": "mock",
        "approval_policy": "never",
        "sandbox_mode": "danger-full-access",
        **settings,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    return "\n".join(
        [
            *lines,
            "check_for_update_on_startup = false",
            "analytics.enabled = false",
            "[model_providers.mock]",
            'name = "mock"',
            f"base_url = {json.dumps(base_url)}",
            'wire_api = "responses"',
            "request_max_retries = 0",
            "stream_max_retries = 0",
            f"[projects.{json.dumps(str(workspace))}]",
            'trust_level = "trusted"',
            "",
        ]
    )
