"""The app: flags become settings, settings wire everything, everything is served.

The command `paintdiffusion` runs `main`; so do `app.py` in a checkout, and the commands `app` and
`serve` of `python -m paintdiff`.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paintdiff.config import messages
from paintdiff.config.settings import APP_COMMANDS, Settings, program_name
from paintdiff.errors import PaintError, SettingsError
from paintdiff.restarts import Restarts
from paintdiff.serving import (
    Hooks,
    bind_socket,
    import_webview,
    make_server,
    serve,
    serve_in_window,
)
from paintdiff.system.atomic_files import remove_stale_folders, remove_stale_parts
from paintdiff.system.console import can_show, say
from paintdiff.system.process import prepare_process

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from paintdiff.accounts.directory import Directory
    from paintdiff.api.context import ApiContext
    from paintdiff.api.mcp.server import McpApp
    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.files.saving import PictureFolder
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.housekeeping import Housekeeping
    from paintdiff.models.hub.downloads import Downloads
    from paintdiff.server.guard import Hosts
    from paintdiff.server.page_events import PageEvents
    from paintdiff.server.routes import Route
    from paintdiff.server.sessions import Sessions
    from paintdiff.ui.common.context import PageContext

logger = logging.getLogger(__name__)

_EVERY_ADDRESS = ("0.0.0.0", "::", "[::]")


@dataclass(frozen=True)
class App:
    """The wired app: the engine, the page, and the guarded server application.

    `page` is None if only the API is served.
    """

    settings: Settings
    engine: Engine
    downloads: Downloads
    pictures: PictureFolder
    gallery: Gallery
    accounts: Directory
    parts: PageContext
    page: gr.Blocks | None
    hosts: Hosts
    housekeeping: Housekeeping

    @classmethod
    def compose(cls, settings: Settings, *, headless: bool = False) -> App:
        """Wire the rooms together, without a page if that is `headless`.

        Raises:
            PaintError: The settings name something that doesn't exist.
        """
        # Imported here so that --help and a wrong flag answer at once: gradio takes two seconds.
        from paintdiff.accounts.directory import Directory  # noqa: PLC0415
        from paintdiff.config.preferences import Preferences  # noqa: PLC0415
        from paintdiff.config.presets import Presets  # noqa: PLC0415
        from paintdiff.config.user_folders import find_user_cache_folder  # noqa: PLC0415
        from paintdiff.engine.engine import Engine  # noqa: PLC0415
        from paintdiff.engine.visitor_limits import VisitorLimits  # noqa: PLC0415
        from paintdiff.gallery.files.saving import PictureFolder  # noqa: PLC0415
        from paintdiff.gallery.gallery import Gallery  # noqa: PLC0415
        from paintdiff.gallery.recording import Recorder  # noqa: PLC0415
        from paintdiff.gallery.settings.earlier import EarlierPictures  # noqa: PLC0415
        from paintdiff.housekeeping import Housekeeping  # noqa: PLC0415
        from paintdiff.journal.journal import GalleryJournal  # noqa: PLC0415
        from paintdiff.models.catalog.live_catalog import LiveCatalog  # noqa: PLC0415
        from paintdiff.models.hub.downloads import Downloads  # noqa: PLC0415
        from paintdiff.models.manager.model_manager import ModelManager  # noqa: PLC0415
        from paintdiff.models.registry.speed_profiles import Profiles  # noqa: PLC0415
        from paintdiff.preprocessors.annotators import Annotators  # noqa: PLC0415
        from paintdiff.prompts.library import PromptLibrary  # noqa: PLC0415
        from paintdiff.prompts.surprise import read_example_prompts  # noqa: PLC0415
        from paintdiff.server.guard import Hosts  # noqa: PLC0415
        from paintdiff.ui.common.context import PageContext  # noqa: PLC0415
        from paintdiff.ui.common.uploads import Uploads  # noqa: PLC0415

        library = LiveCatalog(
            settings.models_dir, cache=settings.cache_dir or find_user_cache_folder()
        )
        start_model = library.add_model(settings.model)
        if settings.controlnet is not None:
            library.prefer_controlnet(settings.controlnet)
        if settings.upscaler is not None:
            library.prefer_upscaler(settings.upscaler)
        downloads = Downloads()
        manager = ModelManager(
            library,
            device=settings.device,
            memory_budget_bytes=settings.memory_budget_bytes,
            downloads=downloads,
            engine=settings.engine,
        )
        pictures = PictureFolder(settings.output_dir)
        gallery = Gallery(settings.output_dir, settings.database_url)
        accounts = Directory(gallery)
        _check_shared(settings, accounts)
        recorder = Recorder(gallery, pictures)
        engine = Engine(
            manager,
            store=pictures,
            recorder=recorder,
            earlier=EarlierPictures(gallery) if settings.reuse_pictures else None,
            queue_size=settings.queue_size,
            annotators=Annotators(settings.models_dir, manager),
            profiles=Profiles.default(settings.profile),
            library=PromptLibrary(settings.models_dir, settings.output_dir),
            limits=VisitorLimits(
                settings.visitor_jobs,
                settings.visitor_steps,
                settings.visitor_side_px,
                settings.visitor_pictures,
            ),
            journal=GalleryJournal(gallery),
        )
        parts = PageContext(
            engine=engine,
            uploads=Uploads(),
            start_model=start_model,
            qualities=tuple((row.name, row.title) for row in Presets.default().qualities()),
            profiles=engine.profiles,
            examples=read_example_prompts(),
            preferences=Preferences.default(),
            model_asked_for="model" in settings.model_fields_set,
            models_dirs=settings.models_dir,
            rescan=library.rescan,
            downloads=downloads,
            may_manage=not settings.share_open and "SPACE_ID" not in os.environ,
            gallery=gallery,
            recorder=recorder,
        )
        space_host = os.environ.get("SPACE_HOST")
        names = (settings.host, *settings.allow_host, *([space_host] if space_host else []))
        hosts = Hosts(names, any_address=settings.host in _EVERY_ADDRESS)
        page = None if headless else _build_page(parts)
        housekeeping = Housekeeping(gallery, engine, parts.preferences, settings.watch_dir)
        return cls(
            settings,
            engine,
            downloads,
            pictures,
            gallery,
            accounts,
            parts,
            page,
            hosts,
            housekeeping,
        )

    def build_server(self) -> ASGIApp:
        """Return the API and the page, if there is one, and the guard around them."""
        from fastapi import FastAPI  # noqa: PLC0415 (see `compose`)

        from paintdiff.api.context import ApiContext  # noqa: PLC0415
        from paintdiff.api.routes import API_ROUTES, ERROR_SHAPES, api_routes  # noqa: PLC0415
        from paintdiff.server.access import Access  # noqa: PLC0415
        from paintdiff.server.authentication.gate import Gate  # noqa: PLC0415
        from paintdiff.server.guard import Guard  # noqa: PLC0415
        from paintdiff.server.origins import Origins  # noqa: PLC0415
        from paintdiff.server.page_events import PageEvents  # noqa: PLC0415
        from paintdiff.server.problems import ErrorShapes  # noqa: PLC0415
        from paintdiff.server.routes import RouteTable  # noqa: PLC0415
        from paintdiff.server.sessions import NoEvents, Sessions  # noqa: PLC0415
        from paintdiff.server.url_fetcher import UrlFetcher  # noqa: PLC0415

        settings = self.settings
        api = ApiContext(
            self.engine,
            self.gallery,
            self.downloads,
            self.parts.may_manage,
            lambda: self.parts.default_model,
            settings.root_path,
            self.parts.rescan,
            UrlFetcher() if settings.allow_urls else None,
        )
        tools = _make_tools(api) if settings.mcp else None
        server = FastAPI(
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            lifespan=None if tools is None else tools.run,
        )
        server.include_router(api_routes(api))
        if tools is not None:
            server.router.routes.append(tools.make_route())
        events, sessions = PageEvents({}), Sessions(NoEvents())
        page_routes: tuple[Route, ...] = ()
        public: tuple[str, ...] = ()
        if self.page is not None:
            from paintdiff.server.routes import PAGE_ROUTES  # noqa: PLC0415
            from paintdiff.ui.gradio_server import PUBLIC_PATHS  # noqa: PLC0415

            events, sessions = self._add_page(server, self.page)
            page_routes, public = PAGE_ROUTES, PUBLIC_PATHS
        table = (*page_routes, *API_ROUTES, *(() if tools is None else tools.rules))
        shapes = ErrorShapes(ERROR_SHAPES, settings.root_path)
        access = Access(
            server,
            events,
            sessions,
            settings.root_path,
            RouteTable(table),
            shapes,
        )
        framed_by = (
            ("'self'", "https://huggingface.co") if os.environ.get("SPACE_ID") else ("'self'",)
        )
        return Guard(
            access,
            self.hosts,
            Gate(settings.credentials, self.accounts, open=settings.share_open),
            frame_ancestors=framed_by,
            public=public,
            open_paths=frozenset(each.path for each in table if each.is_open),
            origins=Origins(settings.allow_origin),
            shapes=shapes,
        )

    def _add_page(self, server: FastAPI, page: gr.Blocks) -> tuple[PageEvents, Sessions]:
        """Add the page and its routes to the server."""
        from paintdiff.server.sessions import Sessions  # noqa: PLC0415 (see `compose`)
        from paintdiff.ui import gradio_server  # noqa: PLC0415
        from paintdiff.ui.common.uploads import upload_routes  # noqa: PLC0415
        from paintdiff.ui.gallery.routes import gallery_routes  # noqa: PLC0415
        from paintdiff.ui.model_browser.routes import model_browser_routes  # noqa: PLC0415
        from paintdiff.ui.prompting.routes import prompting_routes  # noqa: PLC0415
        from paintdiff.ui.replay.routes import replay_routes  # noqa: PLC0415
        from paintdiff.ui.run import routes  # noqa: PLC0415

        settings = self.settings
        server.include_router(routes.picture_routes(self.engine))
        server.include_router(routes.status_routes(self.parts.words, self.parts.recorder))
        server.include_router(upload_routes(self.parts.uploads))
        server.include_router(model_browser_routes(self.parts))
        server.include_router(gallery_routes(self.gallery, self.parts))
        server.include_router(prompting_routes(self.parts))
        server.include_router(replay_routes(self.gallery, self.engine))
        gradio_server.mount_page(server, page, settings.host, settings.port, settings.root_path)
        return gradio_server.page_events(page), Sessions(gradio_server.QueueAnswers(page))

    def run(self) -> None:
        """Serve until interrupted.

        Raises:
            PaintError: The port can't be used.
        """
        settings = self.settings
        program = program_name(headless=self.page is None)
        listening = bind_socket(settings.host, settings.port, program)
        restarts = Restarts(self.engine, settings.shutdown_timeout_seconds, self.housekeeping.ended)
        try:
            restarts.resume()
            hooks = Hooks(self._started, restarts.stop, self.engine.hurry)
            server = make_server(self.build_server(), settings.log_level, hooks)
            if settings.window:
                serve_in_window(server, listening, self._find_url())
            else:
                serve(server, listening)
        finally:
            self.housekeeping.ended.set()
            listening.close()
            self.downloads.close()
            self.engine.close()
            self.gallery.close()

    def _started(self) -> None:
        """Announce the page, then do what takes longer."""
        began, settings, url = datetime.now(UTC), self.settings, self._find_url()
        headless = self.page is None
        say(messages.api_address(url) if headless else messages.page_address(url))
        if settings.mcp:
            say(messages.mcp_address(url))
        say(messages.pictures_are_saved(settings.output_dir.absolute()))
        threading.Thread(
            target=self._after_start,
            args=(f"{url}/docs" if headless else url, began),
            name="after-start",
            daemon=True,
        ).start()

    def _find_url(self) -> str:
        """Return the address on this machine."""
        settings = self.settings
        host = "localhost" if settings.host in _EVERY_ADDRESS else settings.host.strip("[]")
        return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}{settings.root_path}"

    def _after_start(self, url: str, began: datetime) -> None:
        from paintdiff.config.user_folders import find_user_cache_folder  # noqa: PLC0415 (see `compose`)

        self.pictures.tidy_up()
        remove_stale_folders()
        remove_stale_parts(self.settings.cache_dir or find_user_cache_folder(), depth=2)
        self.engine.manager.warm(self.parts.default_model)
        if self.settings.open_browser:
            webbrowser.open(url)
        if self.settings.share:
            self._share()
        self.housekeeping.run(began)

    def _share(self) -> None:
        from gradio.networking import setup_tunnel  # noqa: PLC0415 (only when it is asked for)

        from paintdiff.qr_codes import draw_qr_code  # noqa: PLC0415

        local = "127.0.0.1" if self.settings.host in _EVERY_ADDRESS else self.settings.host
        try:
            url = setup_tunnel(local, self.settings.port, secrets.token_urlsafe(32), None, None)
        except (
            Exception
        ) as error:  # whatever fails on the way to gradio.live, the app itself goes on
            say(messages.no_share_link(error))
            return
        public = f"https://{url.split('://', 1)[-1]}"
        self.hosts.allow(public.split("://", 1)[1])
        say(messages.share_link(public))
        code = draw_qr_code(public)
        if can_show(code):
            say(code)


def _check_shared(settings: Settings, accounts: Directory) -> None:
    """Check that a public link has something that keeps strangers out, or is open on purpose.

    Raises:
        SettingsError: It has nothing.
    """
    if not settings.share or settings.credentials or settings.share_open:
        return
    found = accounts.read()
    if found is None or not (found.users or found.keys):
        raise SettingsError(messages.SHARED_WITHOUT_PASSWORD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the app, after one of APP_COMMANDS or with flags alone.

    Returns the exit code: 2 for an unusable setting, 1 if it can't be served.
    """
    home = prepare_process()
    flags = list(sys.argv[1:] if arguments is None else arguments)
    command = flags.pop(0) if flags and flags[0] in APP_COMMANDS else "app"
    headless = command == "serve"
    try:
        settings = Settings.read(flags, headless=headless)
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
        )
        if home:
            logger.warning("%s", home)
        if settings.window:
            if headless:
                raise SettingsError(messages.WINDOW_NEEDS_PAGE)
            import_webview()
        app = App.compose(settings, headless=headless)
    except PaintError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        app.run()
    except PaintError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if app.engine.is_working:  # it wasn't interrupted in time, and would be at a bad moment now
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _build_page(parts: PageContext) -> gr.Blocks:
    from paintdiff.ui.page import build_page  # noqa: PLC0415 (see `App.compose`)

    return build_page(parts)


def _make_tools(context: ApiContext) -> McpApp:
    from paintdiff.api.mcp.server import McpApp  # noqa: PLC0415 (only when it is asked for)

    return McpApp(context)
