"""The commands `python -m paintdiff gallery list`, `show`, `import` and so on: see `_ACTIONS`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from paintdiff.cli import messages
from paintdiff.cli.continuing import add_continue_command, continue_picture
from paintdiff.cli.flag_values import parse_path
from paintdiff.cli.server import add_server_flags, connect, refuse_with_server
from paintdiff.cli.video import add_video_command, make_video
from paintdiff.cli.watching import add_watch_command, watch
from paintdiff.client.remote_gallery import RemoteGallery
from paintdiff.config.settings import Settings
from paintdiff.errors import PaintError, PictureNotFoundError, RequestError
from paintdiff.gallery.checking import find_mismatches, repair
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.import_folder import ImportReport, import_folder
from paintdiff.gallery.records.database import FILE_NAME
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.system.atomic_files import new_file

_SHOWN_CHARACTERS = 60
_CREATING = ("import", "watch", "repair")
"""Commands that may create the database."""


def add_gallery_commands(commands: Any) -> None:
    """Add the command `gallery` with its own commands to the parser's."""
    gallery: argparse.ArgumentParser = commands.add_parser("gallery", help=messages.GALLERY_HELP)
    actions = gallery.add_subparsers(required=True, metavar="action", dest="action")

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        action: argparse.ArgumentParser = actions.add_parser(name, help=help_text)
        action.add_argument(
            "--output-dir",
            type=parse_path,
            metavar="FOLDER",
            help=messages.GALLERY_FOLDER_HELP,
        )
        return action

    listing = add("list", messages.LIST_HELP)
    _add_query_flags(listing)
    listing.add_argument("--limit", type=int, default=50, metavar="N", help=messages.LIMIT_HELP)
    listing.add_argument("--json", action="store_true", help=messages.JSON_LINES_HELP)
    add_server_flags(listing)
    show = add("show", messages.SHOW_HELP)
    show.add_argument("id", help=messages.ID_HELP)
    add_server_flags(show)
    importing = add("import", messages.IMPORT_HELP)
    importing.add_argument(
        "folder", type=parse_path, metavar="PICTURES", help=messages.IMPORT_FOLDER_HELP
    )
    importing.add_argument("--copy", action="store_true", help=messages.COPY_HELP)
    importing.add_argument("--quiet", action="store_true", help=messages.NO_BAR_HELP)
    add_watch_command(add("watch", messages.WATCH_HELP))
    export = add("export", messages.EXPORT_HELP)
    _add_query_flags(export)
    export.add_argument(
        "--to", type=parse_path, required=True, metavar="FOLDER", help=messages.EXPORT_FOLDER_HELP
    )
    add_server_flags(export)
    add_video_command(add("video", messages.VIDEO_HELP))
    add_continue_command(add("continue", messages.CONTINUE_HELP))
    check = add("check", messages.CHECK_HELP)
    check.add_argument("--thorough", action="store_true", help=messages.THOROUGH_HELP)
    add("repair", messages.REPAIR_HELP)


def gallery(options: argparse.Namespace) -> int:
    """Run one of the gallery's commands. Returns the exit code.

    Raises:
        RequestError: A value can't be used.
        GalleryError: The database can't be used.
    """
    if getattr(options, "server", None) is not None:
        return _run_on_server(options)
    if getattr(options, "key", None) is not None:
        raise RequestError(messages.KEY_WITHOUT_SERVER, field="key")
    given = options.output_dir
    settings = Settings.read([] if given is None else ["--output-dir", str(given)])
    folder = settings.output_dir
    in_folder = settings.database_url is None
    if in_folder and options.action not in _CREATING and not (folder / FILE_NAME).is_file():
        raise RequestError(messages.no_gallery(folder), field="output_dir")
    with closing(Gallery(folder, settings.database_url)) as opened:
        return _ACTIONS[options.action](opened, options)


def _run_on_server(options: argparse.Namespace) -> int:
    refuse_with_server(options, ["output_dir"])
    with closing(connect(options)) as connection:
        remote = RemoteGallery(connection)
        match options.action:
            case "list":
                return _list(partial(remote.records, limit=options.limit), options)
            case "show":
                sys.stdout.write(_format_json(remote.get(options.id), indent=2) + "\n")
                return 0
            case _:
                return _export(remote.records, remote.fetch, options)


def _add_query_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("search", nargs="*", metavar="WORD", help=messages.SEARCH_HELP)
    command.add_argument("--model", metavar="NAME")
    command.add_argument("--kind", metavar="KIND", help=messages.KIND_HELP)
    command.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help=messages.TAG_HELP
    )
    command.add_argument("--feedback", type=int, choices=(-1, 0, 1))
    command.add_argument("--favourite", action="store_true", default=None)
    command.add_argument("--bin", action="store_true", help=messages.BIN_HELP)


def _read_query(options: argparse.Namespace) -> PictureQuery:
    return PictureQuery(
        search=" ".join(options.search),
        model=options.model,
        kind=options.kind,
        tags=tuple(options.tag),
        feedback=options.feedback,
        favourite=options.favourite,
        bin=options.bin,
    )


def _list(find: Callable[[PictureQuery], Iterable[Record]], options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise RequestError(messages.limit_too_small(options.limit), field="limit")
    for record in islice(find(_read_query(options)), options.limit):
        if options.json:
            sys.stdout.write(_format_json(record) + "\n")
            continue
        prompt = " ".join(record.prompt.split())
        shown = prompt if len(prompt) <= _SHOWN_CHARACTERS else f"{prompt[:_SHOWN_CHARACTERS]}…"
        time = f"{record.created_at.astimezone():%Y-%m-%d %H:%M}"
        marks = {1: "+", -1: "-"}.get(record.feedback, " ") + ("*" if record.favourite else " ")
        sys.stdout.write(f"{record.id} {time} {marks} {record.size!s:>9} {shown}\n")
    return 0


def _show(opened: Gallery, options: argparse.Namespace) -> int:
    record = opened.store.get(options.id)
    sys.stdout.write(_format_json(record, path=str(opened.path_of(record.file)), indent=2) + "\n")
    return 0


def _import(opened: Gallery, options: argparse.Namespace) -> int:
    with tqdm(unit="file", disable=True if options.quiet else None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = import_folder(opened, options.folder, copy=options.copy, on_progress=show)
    _print_report(report)
    return int(bool(report.failed))


def _print_report(report: ImportReport) -> None:
    for path, names in report.unmapped:
        sys.stdout.write(messages.imported_without(path, names) + "\n")
    for path, reason in report.failed:
        sys.stderr.write(f"{path}: {reason}\n")
    counts = report.imported, report.moved, report.present, len(report.failed)
    sys.stdout.write(messages.import_summary(*counts) + "\n")
    sys.stdout.flush()


def _watch(opened: Gallery, options: argparse.Namespace) -> int:
    return watch(opened, options, _print_report)


def _export(
    find: Callable[[PictureQuery], Iterable[Record]],
    write: Callable[[Record, BinaryIO], object],
    options: argparse.Namespace,
) -> int:
    """Export pictures: `find` finds their records, `write` writes one's file into another."""
    target: Path = options.to
    failed = False
    try:
        target.mkdir(parents=True, exist_ok=True)
        with new_file(target / "pictures.jsonl", overwrite=False) as listing:
            for record in find(_read_query(options)):
                name = _name_export(record)
                try:
                    with new_file(target / name, overwrite=False) as copy:
                        write(record, copy)
                except (OSError, PictureNotFoundError) as error:
                    failed = True
                    reason = f"{error.strerror}." if isinstance(error, OSError) else str(error)
                    sys.stderr.write(f"{record.id}: {record.file}: {reason}\n")
                    continue
                listing.write(_format_json(record, exported_as=name).encode() + b"\n")
                sys.stdout.write(f"{target / name}\n")
    except FileExistsError:
        raise RequestError(messages.exported_before(target), field="to") from None
    except OSError as error:
        raise PaintError(messages.not_exported(target, error.strerror)) from error
    return int(failed)


def _name_export(record: Record) -> str:
    name = Path(record.file).name
    return f"{record.id}.png" if name == "file" else f"{record.id}-{name}"


def _copy(opened: Gallery, record: Record, copy: BinaryIO) -> None:
    with opened.path_of(record.file).open("rb") as data:
        shutil.copyfileobj(data, copy)


def _check(opened: Gallery, options: argparse.Namespace) -> int:
    count = _print_lines(find_mismatches(opened, thorough=options.thorough))
    sys.stdout.write(messages.mismatches(count) + "\n")
    return int(count > 0)


def _repair(opened: Gallery, _options: argparse.Namespace) -> int:
    recorded = repair(opened)
    count = _print_lines(find_mismatches(opened))
    sys.stdout.write(messages.repaired(recorded, count) + "\n")
    return int(count > 0)


def _print_lines(lines: Iterable[object]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007
        sys.stdout.write(f"{line}\n")
    return count


def _format_json(record: Record, indent: int | None = None, **more: str) -> str:
    moments = {"created_at": record.created_at, "deleted_at": record.deleted_at}
    times = {name: moment and moment.isoformat() for name, moment in moments.items()}
    return json.dumps({**vars(record), **times, "size": str(record.size), **more}, indent=indent)


_ACTIONS: dict[str, Callable[[Gallery, argparse.Namespace], int]] = {
    "list": lambda opened, options: _list(opened.store.records, options),
    "show": _show,
    "import": _import,
    "watch": _watch,
    "export": lambda opened, options: _export(
        opened.store.records, partial(_copy, opened), options
    ),
    "video": make_video,
    "continue": continue_picture,
    "check": _check,
    "repair": _repair,
}
