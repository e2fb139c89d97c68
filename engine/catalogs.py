"""What a front end asks for before a turn: account, models, skills, modes. Read anew each time, so edits show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from engine import account, config
from engine import skills as skill_files
from engine.config import Config
from engine.config_warnings import config_warnings
from engine.errors import BadRequest, Internal
from engine.model import catalog
from projections import protocol as p


class Catalogs:
    """Answers from configuration and files, and from the account's backend.

    :param home: CODEX_HOME.
    :param flags: dotted configuration keys above config.toml.
    :param cwd: the server's folder.
    :param user_agent: how the process names itself to the backend.
    """

    def __init__(self, home: Path, flags: Mapping[str, object], cwd: Path, user_agent: Callable[[], str]) -> None:
        self._home = home
        self._flags = flags
        self._cwd = cwd
        self._user_agent = user_agent

    def load(self, cwd: Path) -> Config:
        """The configuration for a folder as it is now.

        :raises Internal: it cannot be used.
        """
        try:
            return config.load(self._home, self._flags, cwd)
        except config.ConfigError as error:
            raise Internal(f"failed to reload config: {error}") from error

    def in_force(self, cwd: Path) -> Config:
        """The configuration for a folder, or the defaults in place of one that cannot be used: clients were told."""
        return config.load_or_default(self._home, self._flags, cwd)

    def account(self) -> p.GetAccountResponse:
        """Who is signed in, and whether the configured provider needs it."""
        return account.read(account.stored(self._home), self.in_force(self._cwd).provider.requires_openai_auth)

    async def rate_limits(self) -> p.GetAccountRateLimitsResponse:
        """The rate limits of the account, asked for anew.

        :raises BadRequest: there is no ChatGPT login.
        :raises Internal: the backend does not say.
        """
        login = account.chatgpt(account.stored(self._home))
        from engine.model import usage  # the HTTP client is heavy, and most processes never ask

        return await usage.read(self.in_force(self._cwd).chatgpt_base_url, login, self._user_agent())

    def config_warnings(self) -> list[p.ConfigWarningNotification]:
        """What of the configuration is left aside because it cannot be read."""
        return config_warnings(self._home, self._flags, self._cwd)

    def models(self, params: p.ModelListParams) -> p.ModelListResponse:
        """A page of models.

        :raises BadRequest: a cursor that is of no use, or a catalog file that cannot be read.
        """
        path = self.in_force(self._cwd).model_catalog_json
        try:
            models = catalog.built_in() if path is None else catalog.load(Path(path))
        except catalog.CatalogError as error:
            raise BadRequest(f"failed to load configuration: {error}") from error
        return catalog.model_list(
            models, cursor=params.cursor, limit=params.limit, include_hidden=bool(params.include_hidden)
        )

    def skills(self, params: p.SkillsListParams) -> p.SkillsListResponse:
        """The skills of each folder asked for.

        :raises Internal: the configuration cannot be used.
        """
        return skill_files.skills_list(params, self.load, self._cwd)

    def modes(self) -> p.CollaborationModeListResponse:
        """The presets, in the reference's order."""
        return p.CollaborationModeListResponse(
            data=[
                p.CollaborationModeMask(name="Plan", mode="plan", model=None, reasoning_effort="medium"),
                p.CollaborationModeMask(name="Default", mode="default", model=None, reasoning_effort=None),
            ]
        )
