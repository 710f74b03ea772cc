"""The work that a gallery does while it is killed, and what must hold after the next start."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import JSON, column, insert, table

from paintdiff.errors import PaintError, StorageError
from paintdiff.gallery.adoption import empty_bin
from paintdiff.gallery.checking import find_mismatches, repair
from paintdiff.gallery.describing import record_of_file
from paintdiff.gallery.files.picture_files import SUFFIXES, read_picture_file
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.import_folder import import_folder
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records import database as database_module
from paintdiff.gallery.records import search
from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record, make_id
from paintdiff.gallery.records.schema import to_microseconds
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import ImageToImage

Acknowledge = Callable[[Mapping[str, Any]], None]
"""Gets what the person was told: `recorded`, `liked`, `imported`, `erasing` or `erased`."""

_A1111 = (
    "a {} lighthouse\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x48, Model: dream"
)


@dataclass(frozen=True)
class Place:
    """Where a gallery is: its folder in `root`, beside `theirs`, a folder to import."""

    root: Path
    url: str | None

    def open(self) -> Gallery:
        """Return the gallery."""
        return Gallery(self.root / "out", self.url)

    @property
    def theirs(self) -> Path:
        """Return the folder to import."""
        return self.root / "theirs"


@dataclass(frozen=True)
class Scenario:
    """Work of a gallery. `prepare` makes what is there before, `act` works.

    `act` gets a function to call before it tries something again that failed.
    """

    prepare: Callable[[Place, Acknowledge], None]
    act: Callable[[Place, Acknowledge, Callable[[], None]], None]


def make_picture(seed: int, source_seed: int | None = None) -> Picture:
    """Make a picture with the prompt "picture SEED", painted from another image."""
    data = io.BytesIO()
    colour = (source_seed if source_seed is not None else seed) * 37 % 256
    Image.new("RGB", (16, 16), (colour, 90, 10)).save(data, "PNG")
    request = ImageToImage(
        prompt=f"picture {seed}",
        image=InputImage(data=data.getvalue()),
        seed=seed,
        width=64,
        height=48,
        num_inference_steps=2,
        guidance_scale=4.0,
        sampler="ddim",
        quality="balanced",
        profile="exact",
    )
    image = Image.effect_noise((64, 48), 80 + seed).convert("RGB")
    return Picture(image, request, "abc", seconds=1.5, device="cpu")


def save(recorder: Recorder, folder: PictureFolder, picture: Picture) -> Picture:
    """Save and record a picture as the engine does."""
    with suppress(StorageError):  # the recorder tries again
        picture = replace(picture, path=folder.save(picture))
    return recorder.record(Job(picture.request), picture)


def acknowledge_picture(gallery: Gallery, id: str, acknowledge: Acknowledge) -> None:
    """Say that a picture is in the gallery."""
    record = gallery.store.get(id)
    acknowledge({"recorded": id, "prompt": record.prompt, "sha256": record.file_sha256})


def _prepare_pictures(place: Place, acknowledge: Acknowledge) -> None:
    """Make three pictures, the first one liked."""
    place.theirs.mkdir(parents=True)
    with closing(place.open()) as gallery:
        folder = PictureFolder(gallery.folder)
        recorder = Recorder(gallery, folder)
        ids = [save(recorder, folder, make_picture(seed)).id for seed in range(3)]
        gallery.store.set_feedback([ids[0]], 1)
        for id in ids:
            acknowledge_picture(gallery, id, acknowledge)
            record = gallery.store.get(id)
            gallery.thumbnails.load(record.file, gallery.path_of(record.file))
        acknowledge({"liked": ids[0]})


def _save(place: Place, acknowledge: Acknowledge, mend: Callable[[], None]) -> None:
    with closing(place.open()) as gallery:
        folder = PictureFolder(gallery.folder)
        recorder = Recorder(gallery, folder)
        picture = save(recorder, folder, make_picture(7))
        if not picture.id:
            mend()
            (picture,) = recorder.retry()
        acknowledge_picture(gallery, picture.id, acknowledge)


def _prepare_import(place: Place, acknowledge: Acknowledge) -> None:
    _prepare_pictures(place, acknowledge)
    for name in ("red", "green", "blue"):
        write_theirs(place.theirs, name)


def write_theirs(folder: Path, name: str) -> None:
    """Write a picture of another program, with a name that its prompt contains."""
    info = PngInfo()
    info.add_text("parameters", _A1111.format(name))
    Image.effect_noise((64, 48), 80).convert("RGB").save(folder / f"{name}.png", pnginfo=info)


def _import(place: Place, acknowledge: Acknowledge, mend: Callable[[], None]) -> None:
    with closing(place.open()) as gallery:
        _trying_again(lambda: import_folder(gallery, place.theirs, copy=True), mend)
        acknowledge({"imported": ["red", "green", "blue"]})


def _prepare_old_database(place: Place, acknowledge: Acknowledge) -> None:
    """Make three pictures with records in a database of the first version."""
    place.theirs.mkdir(parents=True)
    out = place.root / "out"
    folder = PictureFolder(out)
    with (
        patch.object(database_module, "_upgrade", _upgrade_to_first),
        closing(Database.open(out, place.url)) as database,
    ):
        for seed in range(3):
            path = folder.save(make_picture(seed))
            record = record_of_file(path.relative_to(out).as_posix(), read_picture_file(path))
            record = replace(record, id=make_id(record.created_at), feedback=int(seed == 0))
            _add_to_first(database, seed + 1, record)
            facts = {"prompt": record.prompt, "sha256": record.file_sha256}
            acknowledge({"recorded": record.id, **facts})
            if record.feedback:
                acknowledge({"liked": record.id})


def _upgrade_to_first(connection: Any, script: ScriptDirectory) -> None:
    def steps(revision: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("0001", revision)  # pyright: ignore[reportPrivateUsage]

    config = database_module._alembic_config()  # pyright: ignore[reportPrivateUsage]
    with EnvironmentContext(config, script, fn=steps) as context:
        context.configure(connection=connection, transactional_ddl=True)
        context.run_migrations()


def _add_to_first(database: Database, number: int, record: Record) -> None:
    values = {**vars(record), "number": number, "width": record.size.width}
    values |= {"height": record.size.height, "created_at": to_microseconds(record.created_at)}
    for name in ("size", "tags", "inputs"):
        del values[name]
    kinds = {"params": JSON(), "libraries": JSON()}
    pictures = table("pictures", *(column(name, kinds.get(name)) for name in values))
    with database.write() as session:
        session.execute(insert(pictures).values(**values))
        search.index(session, number, f"{record.prompt}\n{record.model}")


def _migrate(place: Place, _acknowledge: Acknowledge, mend: Callable[[], None]) -> None:
    def work() -> None:
        with closing(place.open()) as gallery:
            assert gallery.store.count(PictureQuery()) == 3, "the migration loses no record"

    _trying_again(work, mend)


def _prepare_bin(place: Place, acknowledge: Acknowledge) -> None:
    _prepare_pictures(place, acknowledge)
    with closing(place.open()) as gallery:
        records = gallery.store.page(PictureQuery(oldest_first=True)).records
        gallery.store.delete([each.id for each in records[1:]])


def _empty_bin(place: Place, acknowledge: Acknowledge, mend: Callable[[], None]) -> None:
    with closing(place.open()) as gallery:
        _trying_again(lambda: empty_binned(gallery, acknowledge), mend)


def empty_binned(gallery: Gallery, acknowledge: Acknowledge) -> None:
    """Empty the bin of a gallery, and say what is erased."""
    gone = list(gallery.store.records(PictureQuery(bin=True)))
    acknowledge({"erasing": [each.id for each in gone]})
    empty_bin(gallery)
    acknowledge({"erased": [each.id for each in gone], "files": [each.file for each in gone]})


def _trying_again(work: Callable[[], object], mend: Callable[[], None]) -> None:
    try:
        work()
    except PaintError:
        mend()
        work()


SCENARIOS: Mapping[str, Scenario] = {
    "save": Scenario(_prepare_pictures, _save),
    "import": Scenario(_prepare_import, _import),
    "migrate": Scenario(_prepare_old_database, _migrate),
    "bin": Scenario(_prepare_bin, _empty_bin),
}


def find_faults(
    place: Place, told: Iterable[Mapping[str, Any]], *, copies_allowed: bool = False
) -> Iterator[str]:
    """Yield what is wrong with a gallery after its process died, before and after a start.

    `copies_allowed` where not even removing worked: a picture that was saved again may be there
    twice.
    """
    with closing(place.open()) as gallery:
        for record in _records(gallery):
            if not gallery.path_of(record.file).is_file():
                yield f"a record without a picture: {record.file} ({record.prompt})"
        PictureFolder(gallery.folder).tidy_up()
        repair(gallery)
        yield from (f"check: {each}" for each in find_mismatches(gallery, thorough=True))
        yield from _find_unreadable(gallery.folder)
        records = {each.id: each for each in _records(gallery)}
        if not copies_allowed:
            prompts = Counter(each.prompt for each in records.values())
            yield from (f"twice: {prompt}" for prompt, count in prompts.items() if count > 1)
        yield from _find_lost(gallery, records, list(told))


def _records(gallery: Gallery) -> Iterator[Record]:
    for in_bin in (False, True):
        yield from gallery.store.records(PictureQuery(bin=in_bin))


def _find_unreadable(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.suffix == ".part":
            yield f"an unfinished file: {path.name}"
        elif path.suffix in SUFFIXES:
            try:
                with Image.open(path) as image:
                    image.load()
            except (OSError, SyntaxError) as error:
                yield f"can't be read: {path.name}: {error}"
        elif path.name.endswith(".backup.sqlite3"):
            with closing(sqlite3.connect(path)) as copy:
                found = copy.execute("PRAGMA integrity_check").fetchone()[0]
                count = copy.execute("SELECT count(*) FROM pictures").fetchone()[0]
            if found != "ok" or not count:
                yield f"a damaged copy of the database: {found}, {count} pictures"


def _find_lost(
    gallery: Gallery, records: Mapping[str, Record], told: list[Mapping[str, Any]]
) -> Iterator[str]:
    erasing = {id for each in told for id in each.get("erasing", ())}
    files = {record.file for record in records.values()}
    for each in told:
        id: str = each.get("recorded", each.get("liked", ""))
        if id and id not in records and id not in erasing:
            yield f"lost: {each}"
        if "liked" in each and id in records and records[id].feedback != 1:
            yield f"a lost like: {each}"
        if "recorded" in each and id in records:
            data = gallery.path_of(records[id].file).read_bytes()
            if hashlib.sha256(data).hexdigest() != each["sha256"]:
                yield f"changed: {each}"
        for name in each.get("imported", ()):
            if not any(name in record.prompt for record in records.values()):
                yield f"lost after its import: {name}"
        for id in each.get("erased", ()):
            if id in records:
                yield f"back from the bin: {records[id].prompt}"
        yield from (
            f"erased, but there: {file}"
            for file in each.get("files", ())
            if file not in files and gallery.path_of(file).exists()
        )
