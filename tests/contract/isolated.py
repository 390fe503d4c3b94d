"""The native application in processes of its own: its nursery is an interpreter that is started for it."""

from __future__ import annotations

import os
from pathlib import Path

from pierhead.config import Settings
from pierhead.config.apps import AppSettings
from pierhead.config.isolation import IsolationLimits
from pierhead.interfaces.base import Application
from pierhead.isolation.fresh import Origin, start_nursery
from pierhead.isolation.layer import Isolated
from pierhead.isolation.nursery import Nursery

__all__ = ["IsolatedApplication"]

FOLDER = Path(__file__).parents[2]


class IsolatedApplication(Isolated):
    """Has each request answered in a process: by the same code, which a fresh interpreter has loaded.

    A worker forks its nursery before it has threads, which tests have; a reload starts one, as here. Where a
    web server starts a process for each request, as by CGI, nothing more is isolated.
    """

    def __init__(self, application: Application) -> None:
        self._settings = Settings(isolation_min_processes=2)
        super().__init__(application, IsolationLimits.of(self._settings), whole=True)
        self._nursery: Nursery | None = None

    async def start(self) -> None:
        if "GATEWAY_INTERFACE" not in os.environ:
            app = AppSettings(
                name="isolated", folder=FOLDER, app="tests.contract.applications:native", factory=True
            )
            self._nursery = nursery = await start_nursery(Origin(app, dict(os.environ)), self._settings)
            self.pool = pool = self.pool_of(nursery, 0)
            nursery.forked, nursery.ended, nursery.lost = pool.forked, pool.ended, pool.lost
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        if self._nursery is not None:
            await self._nursery.close()
