"""The commands `python -m paintdiff keys create|list|revoke` and `users create|list|...`."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paintdiff.accounts.scopes import VISITOR_SCOPES, Scope, format_scopes, parse_scopes
from paintdiff.accounts.store import (
    KEY_OWNER,
    MAX_PASSWORD_CHARACTERS,
    AccountStore,
    ApiKey,
)
from paintdiff.cli import messages
from paintdiff.cli.flag_values import parse_path
from paintdiff.config.settings import Settings
from paintdiff.errors import RequestError
from paintdiff.gallery.gallery import Gallery

_Command = Callable[[AccountStore, argparse.Namespace], int]


def add_account_commands(commands: Any) -> None:
    """Add the commands `keys` and `users` with their own commands to the parser's."""
    keys = _add_group(commands, "keys", messages.KEYS_HELP)
    create = _add_action(keys, "create", messages.CREATE_KEY_HELP)
    create.add_argument("name", help=messages.KEY_NAME_HELP)
    create.add_argument(
        "--scope", action="append", dest="scopes", metavar="NAME", help=messages.SCOPE_HELP
    )
    create.add_argument("--user", metavar="NAME", help=messages.KEY_USER_HELP)
    create.add_argument("--days", type=float, metavar="N", help=messages.DAYS_HELP)
    listing = _add_action(keys, "list", messages.LIST_KEYS_HELP)
    listing.add_argument("--json", action="store_true", help=messages.JSON_LINES_HELP)
    revoke = _add_action(keys, "revoke", messages.REVOKE_KEY_HELP)
    revoke.add_argument("name", help=messages.KEY_TO_REVOKE_HELP)

    users = _add_group(commands, "users", messages.USERS_HELP)
    create = _add_action(users, "create", messages.CREATE_USER_HELP)
    create.add_argument("name", help=messages.USER_NAME_HELP)
    create.add_argument("--manage", action="store_true", help=messages.MANAGE_HELP)
    _add_password_flag(create)
    listing = _add_action(users, "list", messages.LIST_USERS_HELP)
    listing.add_argument("--json", action="store_true", help=messages.JSON_LINES_HELP)
    remove = _add_action(users, "remove", messages.REMOVE_USER_HELP)
    remove.add_argument("name", help=messages.USER_NAME_HELP)
    change = _add_action(users, "set-password", messages.SET_PASSWORD_HELP)
    change.add_argument("name", help=messages.USER_NAME_HELP)
    _add_password_flag(change)


def keys(options: argparse.Namespace) -> int:
    """Run one of the commands about keys. Returns the exit code.

    Raises:
        RequestError: A value can't be used.
        GalleryError: The database can't be used.
    """
    return _run(_KEY_ACTIONS[options.action], options)


def users(options: argparse.Namespace) -> int:
    """Run one of the commands about users. Returns the exit code.

    Raises:
        RequestError: A value can't be used.
        GalleryError: The database can't be used.
    """
    return _run(_USER_ACTIONS[options.action], options)


def _add_group(commands: Any, name: str, help_text: str) -> Any:
    group: argparse.ArgumentParser = commands.add_parser(name, help=help_text)
    return group.add_subparsers(required=True, metavar="action", dest="action")


def _add_action(actions: Any, name: str, help_text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
    action.add_argument(
        "--output-dir", type=parse_path, metavar="FOLDER", help=messages.GALLERY_FOLDER_HELP
    )
    return action


def _add_password_flag(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--password-file", type=parse_path, metavar="FILE", help=messages.PASSWORD_FILE_HELP
    )


def _run(command: _Command, options: argparse.Namespace) -> int:
    given = options.output_dir
    settings = Settings.read([] if given is None else ["--output-dir", str(given)])
    with closing(Gallery(settings.output_dir, settings.database_url)) as opened:
        if not opened.is_made and options.action == "list":
            return 0
        return command(AccountStore(opened.database), options)


def _create_key(store: AccountStore, options: argparse.Namespace) -> int:
    scopes = VISITOR_SCOPES if options.scopes is None else parse_scopes(options.scopes)
    is_first = not store.snapshot().keys
    key, text = store.create_key(options.name, scopes, options.user, options.days)
    # The secret alone is on stdout, so that a script can take it.
    sys.stderr.write(messages.key_created(key.name, format_scopes(key.scopes)) + "\n")
    sys.stdout.write(f"{text}\n")
    if is_first:
        sys.stderr.write(messages.FIRST_KEY + "\n")
    return 0


def _list_keys(store: AccountStore, options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    for key in store.list_keys():
        if options.json:
            _print_json(_describe_key(key, now))
            continue
        owner = "" if key.owner.startswith(KEY_OWNER) else f" ({key.owner})"
        scopes, state = format_scopes(key.scopes), _name_state(key, now)
        made = f"{key.created_at.astimezone():%Y-%m-%d %H:%M}"
        sys.stdout.write(f"{key.id} {made} {state:<8} {scopes:<20} {key.name}{owner}\n")
    return 0


def _describe_key(key: ApiKey, now: datetime) -> dict[str, object]:
    moments = ("created_at", "expires_at", "revoked_at")
    times = {name: getattr(key, name) and getattr(key, name).isoformat() for name in moments}
    facts = {"id": key.id, "name": key.name, "owner": key.owner, "state": _name_state(key, now)}
    return {**facts, "scopes": format_scopes(key.scopes).split(), **times}


def _name_state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.is_active(now) else "expired"


def _revoke_key(store: AccountStore, options: argparse.Namespace) -> int:
    key = store.revoke_key(options.name)
    sys.stderr.write(messages.key_revoked(key.name) + "\n")
    return 0


def _create_user(store: AccountStore, options: argparse.Namespace) -> int:
    scopes = VISITOR_SCOPES | ({Scope.MANAGE} if options.manage else set())
    is_first = not store.list_users()
    user = store.create_user(options.name, _read_password(options.password_file), scopes)
    sys.stderr.write(messages.user_created(user.name) + "\n")
    if is_first:
        sys.stderr.write(messages.FIRST_USER + "\n")
    return 0


def _list_users(store: AccountStore, options: argparse.Namespace) -> int:
    for user in store.list_users():
        scopes = format_scopes(user.scopes)
        if options.json:
            made = user.created_at.isoformat()
            _print_json({"name": user.name, "scopes": scopes.split(), "created_at": made})
        else:
            made = f"{user.created_at.astimezone():%Y-%m-%d %H:%M}"
            sys.stdout.write(f"{made} {scopes:<20} {user.name}\n")
    return 0


def _remove_user(store: AccountStore, options: argparse.Namespace) -> int:
    user, keys_revoked = store.remove_user(options.name)
    sys.stderr.write(messages.user_removed(user.name, keys_revoked) + "\n")
    return 0


def _set_password(store: AccountStore, options: argparse.Namespace) -> int:
    user = store.set_password(options.name, _read_password(options.password_file))
    sys.stderr.write(messages.password_set(user.name) + "\n")
    return 0


def _read_password(file: Path | None) -> str:
    """Return a password from a file, the keyboard, or the first line of stdin.

    Raises:
        RequestError: The file can't be read, or two typed passwords differ.
    """
    most = 4 * MAX_PASSWORD_CHARACTERS + 2
    if file is not None:
        try:
            with file.open(encoding="utf-8-sig") as opened:
                return opened.read(most).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else messages.NOT_UTF8
            raise RequestError(
                messages.unreadable_password(file, reason), field="password_file"
            ) from error
    if not sys.stdin.isatty():
        return sys.stdin.readline(most).rstrip("\r\n")
    typed = getpass.getpass(messages.TYPE_PASSWORD)
    if getpass.getpass(messages.TYPE_PASSWORD_AGAIN) != typed:
        raise RequestError(messages.PASSWORDS_DIFFER, field="password")
    return typed


def _print_json(values: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")


_KEY_ACTIONS: dict[str, _Command] = {
    "create": _create_key,
    "list": _list_keys,
    "revoke": _revoke_key,
}
_USER_ACTIONS: dict[str, _Command] = {
    "create": _create_user,
    "list": _list_users,
    "remove": _remove_user,
    "set-password": _set_password,
}
