"""A server whose config.toml cannot be used: what still works, on the defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadRequest, Internal
from projections import protocol as p
from tests.engine.harness import CLIENT, engine, make_home

pytestmark = pytest.mark.anyio


async def test_lists_work_and_threads_do_not_start(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    async with engine(home) as running:
        (home / "config.toml").write_text("model = \n")
        host = running.host
        assert (await host.reading.list_threads(p.ThreadListParams())).data == []
        assert host.catalogs.models(p.ModelListParams()).data
        assert host.catalogs.account().requires_openai_auth
        with pytest.raises(BadRequest, match=r"failed to load configuration: .*config.toml:1:9: "):
            await host.threads.start(p.ThreadStartParams(), CLIENT)
        for ask in (lambda: host.catalogs.skills(p.SkillsListParams()), host.mcp.reload):
            with pytest.raises(Internal, match=r"failed to reload config: .*config.toml:1:9: "):
                ask()
