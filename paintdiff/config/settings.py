"""Settings: what a person decides when starting the app, read once and then passed in.

A flag beats its environment variable, which beats the default. An unknown flag or an unknown
`PAINTDIFF_` variable is an error: a silently ignored setting is worse than none.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from paintdiff.config import messages
from paintdiff.config.presets import is_installed
from paintdiff.config.user_folders import default_output_folder
from paintdiff.errors import SettingsError

ENVIRONMENT_PREFIX = "PAINTDIFF_"
KEY_VARIABLE = "PAINTDIFF_KEY"
"""The variable with a key for somebody else's server: no setting of the app."""
APP_COMMANDS = ("app", "serve")
"""`app` (also meant by no command) serves the page and the API, `serve` the API alone."""

_BYTES_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.ASCII | re.IGNORECASE)
_CREDENTIALS = re.compile(r"[^:\n]+:.+")
_MAX_CREDENTIALS = 4096
_SECRETS = ("auth", "database_url")
_ROOT_PATHS = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ORIGINS = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
"""As browsers send them: in lower case, without a path."""
_UNIT_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class Flag:
    """The spelling of a setting on the command line and in the environment.

    `environment` lists the variables that set it, by precedence. `metavar` stands for the value in
    the help text, and is empty for a switch.
    """

    name: str
    environment: tuple[str, ...]
    metavar: str = ""


def _make_flag(name: str, metavar: str = "", also: tuple[str, ...] = ()) -> Flag:
    variable = ENVIRONMENT_PREFIX + name.removeprefix("--").replace("-", "_").upper()
    return Flag(name, (variable, *also), metavar)


def _make_field(flag: Flag, help_text: str, default: Any, **limits: Any) -> Any:
    """Return a pydantic field that the environment variables of `flag` can set."""
    alias = AliasChoices(*flag.environment)
    return Field(default, validation_alias=alias, description=help_text, **limits)


_HOST = _make_flag("--host", "NAME", also=("GRADIO_SERVER_NAME",))
_PORT = _make_flag("--port", "NUMBER", also=("GRADIO_SERVER_PORT",))
_SHARE = _make_flag("--share")
_SHARE_OPEN = _make_flag("--share-open")
_AUTH = _make_flag("--auth", "USER:PASSWORD")
_AUTH_FILE = _make_flag("--auth-file", "FILE")
_ROOT_PATH = _make_flag("--root-path", "PATH", also=("GRADIO_ROOT_PATH",))
_ALLOW_HOST = _make_flag("--allow-host", "NAME")
_ALLOW_ORIGIN = _make_flag("--allow-origin", "ORIGIN")
_ALLOW_URLS = _make_flag("--allow-urls")
_OPEN = _make_flag("--open")
_MCP = _make_flag("--mcp")
_WINDOW = _make_flag("--window")
_PROFILE = _make_flag("--profile", "NAME")
_REUSE = _make_flag("--reuse-pictures")
_MODEL = _make_flag("--model", "NAME", also=("SD_MODEL",))
_CONTROLNET = _make_flag("--controlnet", "NAME", also=("CONTROLNET",))
_UPSCALER = _make_flag("--upscaler", "NAME")
_MODELS_DIR = _make_flag("--models-dir", "FOLDER")
_CACHE_DIR = _make_flag("--cache-dir", "FOLDER")
_OUTPUT_DIR = _make_flag("--output-dir", "FOLDER")
_WATCH_DIR = _make_flag("--watch-dir", "FOLDER")
_DATABASE_URL = _make_flag("--database-url", "URL")
_DEVICE = _make_flag("--device", "NAME")
_ENGINE = _make_flag("--engine", "NAME")
_MEMORY_BUDGET = _make_flag("--memory-budget", "SIZE")
_QUEUE_SIZE = _make_flag("--queue-size", "NUMBER")
_SHUTDOWN_TIMEOUT = _make_flag("--shutdown-timeout", "SECONDS")
_VISITOR_JOBS = _make_flag("--visitor-jobs", "NUMBER")
_VISITOR_STEPS = _make_flag("--visitor-steps", "NUMBER")
_VISITOR_SIDE = _make_flag("--visitor-side", "PIXELS")
_VISITOR_PICTURES = _make_flag("--visitor-pictures", "NUMBER")
_LOG_LEVEL = _make_flag("--log-level", "LEVEL")


class Settings(BaseSettings):
    """All settings, validated. Call `read` (flags and environment), or pass fields by name."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        env_ignore_empty=True,
        case_sensitive=True,
    )

    host: Annotated[str, _HOST] = _make_field(_HOST, messages.HOST_HELP, "127.0.0.1", min_length=1)
    port: Annotated[int, _PORT] = _make_field(_PORT, messages.PORT_HELP, 7860, ge=1, le=65535)
    share: Annotated[bool, _SHARE] = _make_field(_SHARE, messages.SHARE_HELP, default=False)
    share_open: Annotated[bool, _SHARE_OPEN] = _make_field(
        _SHARE_OPEN,
        messages.SHARE_OPEN_HELP,
        default=False,
    )
    auth: Annotated[str | None, _AUTH] = _make_field(_AUTH, messages.AUTH_HELP, None, repr=False)
    auth_file: Annotated[Path | None, _AUTH_FILE] = _make_field(
        _AUTH_FILE,
        messages.AUTH_FILE_HELP,
        None,
    )
    root_path: Annotated[str, _ROOT_PATH] = _make_field(_ROOT_PATH, messages.ROOT_PATH_HELP, "")
    allow_host: Annotated[tuple[str, ...], NoDecode, _ALLOW_HOST] = _make_field(
        _ALLOW_HOST,
        messages.ALLOW_HOST_HELP,
        (),
    )
    allow_origin: Annotated[tuple[str, ...], NoDecode, _ALLOW_ORIGIN] = _make_field(
        _ALLOW_ORIGIN,
        messages.ALLOW_ORIGIN_HELP,
        (),
    )
    allow_urls: Annotated[bool, _ALLOW_URLS] = _make_field(
        _ALLOW_URLS, messages.ALLOW_URLS_HELP, default=False
    )
    open_browser: Annotated[bool, _OPEN] = _make_field(_OPEN, messages.OPEN_HELP, default=False)
    mcp: Annotated[bool, _MCP] = _make_field(_MCP, messages.MCP_HELP, default=False)
    window: Annotated[bool, _WINDOW] = _make_field(_WINDOW, messages.WINDOW_HELP, default=False)
    model: Annotated[str, _MODEL] = _make_field(_MODEL, messages.MODEL_HELP, "mini", min_length=1)
    profile: Annotated[str, _PROFILE] = _make_field(
        _PROFILE,
        messages.PROFILE_HELP,
        "fast",
        min_length=1,
    )
    reuse_pictures: Annotated[bool, _REUSE] = _make_field(
        _REUSE, messages.REUSE_HELP, default=False
    )
    controlnet: Annotated[str | None, _CONTROLNET] = _make_field(
        _CONTROLNET,
        messages.CONTROLNET_HELP,
        None,
        min_length=1,
    )
    upscaler: Annotated[str | None, _UPSCALER] = _make_field(
        _UPSCALER,
        messages.UPSCALER_HELP,
        None,
        min_length=1,
    )
    models_dir: Annotated[tuple[Path, ...], NoDecode, _MODELS_DIR] = _make_field(
        _MODELS_DIR,
        messages.MODELS_DIR_HELP,
        (),
    )
    cache_dir: Annotated[Path | None, _CACHE_DIR] = _make_field(
        _CACHE_DIR,
        messages.CACHE_DIR_HELP,
        None,
    )
    output_dir: Annotated[Path, _OUTPUT_DIR] = Field(
        default_factory=default_output_folder,
        validation_alias=AliasChoices(*_OUTPUT_DIR.environment),
        description=messages.OUTPUT_DIR_HELP,
    )
    watch_dir: Annotated[tuple[Path, ...], NoDecode, _WATCH_DIR] = _make_field(
        _WATCH_DIR, messages.WATCH_DIR_HELP, ()
    )
    database_url: Annotated[str | None, _DATABASE_URL] = _make_field(
        _DATABASE_URL,
        messages.DATABASE_URL_HELP,
        None,
        repr=False,
        min_length=1,
    )
    device: Annotated[str, _DEVICE] = _make_field(
        _DEVICE, messages.DEVICE_HELP, "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    engine: Annotated[Literal["auto", "torch", "openvino"], _ENGINE] = _make_field(
        _ENGINE,
        messages.ENGINE_HELP,
        "auto",
    )
    memory_budget_bytes: Annotated[int | None, _MEMORY_BUDGET] = _make_field(
        _MEMORY_BUDGET,
        messages.MEMORY_BUDGET_HELP,
        None,
        gt=0,
    )
    queue_size: Annotated[int, _QUEUE_SIZE] = _make_field(
        _QUEUE_SIZE, messages.QUEUE_SIZE_HELP, 64, ge=1, le=10_000
    )
    shutdown_timeout_seconds: Annotated[float, _SHUTDOWN_TIMEOUT] = _make_field(
        _SHUTDOWN_TIMEOUT, messages.SHUTDOWN_TIMEOUT_HELP, 20.0, ge=0.0, le=3600.0
    )
    visitor_jobs: Annotated[int, _VISITOR_JOBS] = _make_field(
        _VISITOR_JOBS, messages.VISITOR_JOBS_HELP, 8, ge=1, le=10_000
    )
    visitor_steps: Annotated[int, _VISITOR_STEPS] = _make_field(
        _VISITOR_STEPS, messages.VISITOR_STEPS_HELP, 150, ge=1, le=1000
    )
    visitor_side_px: Annotated[int, _VISITOR_SIDE] = _make_field(
        _VISITOR_SIDE, messages.VISITOR_SIDE_HELP, 2048, ge=64, le=16_384
    )
    visitor_pictures: Annotated[int, _VISITOR_PICTURES] = _make_field(
        _VISITOR_PICTURES, messages.VISITOR_PICTURES_HELP, 60, ge=1, le=100_000
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _LOG_LEVEL] = _make_field(
        _LOG_LEVEL, messages.LOG_LEVEL_HELP, "warning"
    )

    @field_validator("allow_host", "allow_origin", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("allow_origin")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not _ORIGINS.fullmatch(origin):
                raise ValueError(messages.origin_format(origin))
        return value

    @field_validator("models_dir", "watch_dir", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        return (
            tuple(part for part in value.split(os.pathsep) if part)
            if isinstance(value, str)
            else value
        )

    @field_validator("memory_budget_bytes", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        return parse_bytes(value) if isinstance(value, str) else value

    @field_validator("auth")
    @classmethod
    def _credentials(cls, value: str | None) -> str | None:
        if value is not None and not _CREDENTIALS.fullmatch(value):
            raise ValueError(messages.CREDENTIALS_FORMAT)
        return value

    @field_validator("root_path")
    @classmethod
    def _path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not _ROOT_PATHS.fullmatch(path):
            raise ValueError(messages.ROOT_PATH_FORMAT)
        return path

    @model_validator(mode="after")
    def _one_password(self) -> Settings:
        if self.auth_file is None:
            return self
        if self.auth is not None:
            raise SettingsError(messages.TWO_PASSWORDS)
        _read_credentials(self.auth_file)
        return self

    @property
    def credentials(self) -> tuple[str, str] | None:
        """Return the user name and password that every visitor must give, or None."""
        text = self.auth if self.auth_file is None else _read_credentials(self.auth_file)
        if text is None:
            return None
        user, _, password = text.partition(":")
        return user, password

    @classmethod
    def read(cls, arguments: Sequence[str] = (), *, headless: bool = False) -> Settings:
        """Read the flags and the environment.

        `--help` prints every flag, as those of the server without a page if that is `headless`, and
        exits with 0.

        Raises:
            SettingsError: Something is unknown or out of range; the message is one line.
        """
        flags = vars(_build_parser(headless).parse_args(arguments))
        _refuse_unknown_variables(os.environ)
        try:
            return cls(**{name: value for name, value in flags.items() if value is not None})
        except ValidationError as error:
            raise SettingsError(_describe(error)) from None


def _read_credentials(file: Path) -> str:
    """Return the file's user:password, without a line break at the end.

    Raises:
        SettingsError: It can't be read.
    """
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(_MAX_CREDENTIALS).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else messages.NOT_UTF8
        raise SettingsError(messages.unreadable_auth_file(file, reason)) from error
    if not _CREDENTIALS.fullmatch(text):
        raise SettingsError(messages.wrong_auth_file(file))
    return text


def parse_bytes(text: str) -> int:
    """Parse `"4GiB"`, `"512 MiB"` or `"1.5g"`; units are powers of 1024.

    Raises:
        ValueError: It is anything else.
    """
    match = _BYTES_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(messages.SIZE_FORMAT)
    return int(float(match[1]) * _UNIT_BYTES[match[2].lower()])


def program_name(*, headless: bool = False) -> str:
    """Return the command that starts the app, or the API alone, as a person types it."""
    if headless:
        return "paintdiff serve" if is_installed() else "python -m paintdiff serve"
    return "paintdiffusion" if is_installed() else "python app.py"


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(messages.wrong_flag(message))


def _build_parser(headless: bool) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program_name(headless=headless),
        description=messages.ABOUT_THE_SERVER if headless else messages.ABOUT_THE_APP,
        epilog=messages.PRECEDENCE_OF_FLAGS,
        allow_abbrev=False,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    for name, field in Settings.model_fields.items():
        flag = _find_flag(field)
        options: dict[str, Any] = {"dest": name, "default": None, "help": _help_text(flag, field)}
        if not flag.metavar:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = flag.metavar
            options["action"] = "append" if isinstance(field.default, tuple) else "store"
        parser.add_argument(flag.name, **options)
    return parser


def _find_flag(field: FieldInfo) -> Flag:
    return next(item for item in field.metadata if isinstance(item, Flag))


def _help_text(flag: Flag, field: FieldInfo) -> str:
    default: object = field.get_default(call_default_factory=True, validated_data={})
    open_ended = default is None or default is False or default in ((), "")
    value = "" if open_ended else messages.default_is(default)
    return f"{field.description}{value}\n[{', '.join(flag.environment)}]"


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {
        name for field in Settings.model_fields.values() for name in _find_flag(field).environment
    }
    known.add(KEY_VARIABLE)
    unknown = sorted(
        name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name not in known
    )
    if unknown:
        raise SettingsError(messages.unknown_settings(unknown))


def _describe(error: ValidationError) -> str:
    """Describe the first error in one line with the flag, the value and the limit."""
    first = error.errors()[0]
    place = str(first["loc"][0]) if first["loc"] else ""
    for name, field in Settings.model_fields.items():
        flag = _find_flag(field)
        if place == name or place in flag.environment:
            reason = first["msg"].removeprefix("Value error, ")
            reason = reason[:1].lower() + reason[1:]
            value = None if name in _SECRETS else str(first["input"])
            return messages.wrong_setting(flag.name, flag.environment[0], reason, value)
    return f"{place}: {first['msg']}."
