"""A selection as one ZIP file, for those whose pictures they are."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from paintdiff.gallery.gallery import Gallery
from paintdiff.server.guard import Guard
from paintdiff.server.identities import make_token, name_browser
from paintdiff.ui.gallery import messages, zips
from tests.ui.gallery.test_routes import add, app, browser, gallery, local

__all__ = ["app", "gallery", "local"]


def choose(client: TestClient, *ids: str) -> dict[str, object]:
    answer = client.post("/gallery/zips", json={"ids": list(ids)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_holds_the_very_files_under_safe_names(gallery: Gallery, local: TestClient) -> None:
    outside = gallery.folder.parent / "..%2f evil\r\nname.PNG"
    made = [
        add(gallery, "a/../b"),
        add(gallery, file=str(outside)),
        add(gallery, file="2026/x.tiff"),
    ]
    chosen = choose(local, *(each.id for each in made), made[0].id)
    assert (chosen["count"], chosen["missing"]) == (3, 0)
    answer = local.get(f"/gallery/zips/{chosen['name']}")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == [
            f"20261130-120000-{each.id}.{end}"
            for each, end in zip(made, ("png", "png", "bin"), strict=True)
        ]
        for name, each in zip(names, made, strict=True):
            assert archive.read(name) == gallery.path_of(each.file).read_bytes()


def test_years_that_a_zip_file_does_not_know_are_the_nearest(gallery: Gallery) -> None:
    made = [add(gallery), add(gallery, created_at=datetime(2200, 1, 2, tzinfo=UTC))]
    made.append(add(gallery, created_at=datetime(1970, 1, 2, tzinfo=UTC)))
    data = b"".join(zips.write_zip(gallery, [each.id for each in made]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        years = [each.date_time[0] for each in archive.infolist()]
    assert years == [2026, 2107, 1980]


def test_what_is_missing_is_said(gallery: Gallery, local: TestClient) -> None:
    here, gone, later = add(gallery), add(gallery), add(gallery)
    gallery.path_of(gone.file).unlink()
    chosen = choose(local, here.id, gone.id, later.id)
    assert (chosen["count"], chosen["missing"]) == (2, 1)
    gallery.path_of(later.file).unlink()
    content = local.get(f"/gallery/zips/{chosen['name']}").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == 2
        said = archive.read(zips.NOT_INCLUDED).decode()
        assert gone.id in said and later.id in said and here.id not in said
    gallery.path_of(here.file).unlink()
    answer = local.post("/gallery/zips", json={"ids": [here.id]})
    assert (answer.status_code, answer.json()["detail"]) == (400, messages.FILE_MISSING)


def test_it_is_limited(
    gallery: Gallery, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [add(gallery) for _ in range(3)]
    ids = [each.id for each in made]
    monkeypatch.setattr(zips, "MAX_PICTURES", 2)
    answer = local.post("/gallery/zips", json={"ids": ids})
    assert (answer.status_code, answer.json()["detail"]) == (400, messages.too_many_to_zip(2, 3))
    monkeypatch.setattr(zips, "MAX_BYTES", gallery.path_of(made[0].file).stat().st_size)
    assert "holds at most" in local.post("/gallery/zips", json={"ids": ids[:2]}).json()["detail"]
    assert choose(local, ids[0])["count"] == 1


def test_it_is_never_complete_in_memory(gallery: Gallery) -> None:
    made = add(gallery)
    path = gallery.path_of(made.file)
    path.write_bytes(b"x" * 3_000_000)
    pieces = [len(piece) for piece in zips.write_zip(gallery, [made.id])]
    assert sum(pieces) > 3_000_000
    assert max(pieces) < 600_000


def test_a_selection_is_the_visitors_own(
    gallery: Gallery, app: Guard, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_token()
    own, other = add(gallery, owner=name_browser(token)), add(gallery, owner="ada")
    with browser(app, token) as visitor, browser(app, make_token()) as stranger:
        answer = visitor.post("/gallery/zips", json={"ids": [own.id, other.id]})
        assert answer.status_code == 404
        name = choose(visitor, own.id)["name"]
        assert stranger.get(f"/gallery/zips/{name}").status_code == 404
        assert visitor.get(f"/gallery/zips/{name}").status_code == 200
        monkeypatch.setattr(zips, "TICKET_SECONDS", -1.0)
        assert visitor.get(f"/gallery/zips/{name}").status_code == 404
    assert local.get("/gallery/zips/..%2f..%2fetc").status_code == 404
    assert local.post("/gallery/zips", json={"ids": []}).status_code == 422


def test_only_so_many_selections_are_kept(gallery: Gallery, local: TestClient) -> None:
    made = add(gallery)
    first = choose(local, made.id)["name"]
    for _ in range(zips.MAX_TICKETS):
        last = choose(local, made.id)["name"]
    assert local.get(f"/gallery/zips/{first}").status_code == 404
    assert local.get(f"/gallery/zips/{last}").status_code == 200


def test_a_file_that_shrinks_meanwhile_leaves_a_whole_archive(
    gallery: Gallery, tmp_path: Path
) -> None:
    made = add(gallery)
    path = gallery.path_of(made.file)
    path.write_bytes(b"x" * 1_000_000)
    pieces = zips.write_zip(gallery, [made.id])
    content = next(pieces)
    with path.open("r+b") as file:
        file.truncate(300_000)
    content += b"".join(pieces)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
