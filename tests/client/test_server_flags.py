"""The command line against a running app: same files, bars, sentences and exit codes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from paintdiff.cli import main
from paintdiff.client import connection
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.models.manager.model_manager import ModelManager
from tests.client.conftest import Fault, LiveApp

SMALL = ("--size", "64x64", "--steps", "3", "--seed", "7")


@pytest.fixture(scope="module")
def shared(
    mini_manager: ModelManager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    app = LiveApp(mini_manager, tmp_path_factory.mktemp("shared"))
    yield app
    app.stop()


def run(app: LiveApp, command: str, *arguments: str | Path) -> int:
    """The exit code of a command with `--server`."""
    try:
        return main.main([*command.split(), *map(str, arguments), "--server", app.url])
    except SystemExit as end:
        return int(end.code or 0)


def test_a_picture_is_the_servers_file(
    live: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "boat.png"
    assert run(live, "paint", "a red boat", *SMALL, "--count", "2", "--output", output) == 0
    out, err = capsys.readouterr()
    files = [tmp_path / "boat-1.png", tmp_path / "boat-2.png"]
    assert out.splitlines() == [str(each) for each in files]
    assert "step" in err, "the progress bar"
    assert [each.read_bytes() for each in files] == live.saved()
    assert [read_request(each).seed for each in files] == [7, 8]


def test_the_report_is_that_of_painting_here(
    shared: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "boat.png"
    flags = (*SMALL, "--size", "66x64", "--json", "--output", output)
    assert run(shared, "paint", "a red boat", *flags) == 0
    there = json.loads(capsys.readouterr().out)
    output.unlink()
    assert main.main(["paint", "a red boat", *map(str, flags), "--device", "cpu"]) == 0
    here = json.loads(capsys.readouterr().out)
    for own in ("seconds", "steps_per_second", "memory"):
        here.pop(own), there.pop(own)
    assert there == here
    assert "66x64 became 64x64" in there["warnings"][0]


def test_from_a_picture_and_upscaled(shared: LiveApp, tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    Image.new("RGB", (64, 64), "red").save(source)
    flags = (*SMALL, "--image", source, "--strength", "0.5", "--upscale", "2")
    assert run(shared, "paint", "a red boat", *flags, "--output", tmp_path / "new.png") == 0
    with Image.open(tmp_path / "new.png") as picture:
        assert picture.size == (128, 128)
    assert run(shared, "upscale", source, "--scale", "2") == 0
    with Image.open(tmp_path / "source-2x.png") as picture:
        assert picture.size == (128, 128)


def test_a_grid(shared: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--x", "steps=2,3", "--size", "64x64", "--seed", "1", "--json")
    assert run(shared, "grid", "a red boat", *flags, "--output", tmp_path / "sheet.png") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert "2 pictures to paint." in err
    assert report["sheet"] == str(tmp_path / "sheet.png")
    assert [each["file"] for each in report["cells"]] == [
        str(tmp_path / "sheet-1.png"),
        str(tmp_path / "sheet-2.png"),
    ]
    assert [read_request(tmp_path / f"sheet-{n}.png").num_inference_steps for n in (1, 2)] == [2, 3]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 128


def test_the_gallery(live: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        output = tmp_path / f"{number}.png"
        run(live, "paint", f"boat {number}", *SMALL, "--quiet", "--output", output)
    capsys.readouterr()
    assert run(live, "gallery list", "--limit", "1", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert (record["prompt"], record["size"], record["seed"]) == ("boat 2", "64x64", 7)
    assert run(live, "gallery show", record["id"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == "boat 2"
    assert run(live, "gallery export", "--to", tmp_path / "out") == 0
    exported = sorted((tmp_path / "out").glob("*.png"))
    assert [each.read_bytes() for each in exported] == live.saved()
    capsys.readouterr()
    assert run(live, "gallery show", "none") == 1
    assert "paintdiff gallery: " in capsys.readouterr().err
    for wrong in (("--bin",), ("--tag", "a", "--tag", "b"), ("--output-dir", tmp_path)):
        assert run(live, "gallery list", *wrong) == 2
        assert wrong[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--sampler", "none-such"), 2, "paintdiff paint: --sampler: "),
        (("--steps", "0"), 2, "paintdiff paint: --steps: "),
        (("--model", "none-such"), 2, "paintdiff paint: --model: "),
        (("--device", "cuda"), 2, "paintdiff paint: --device: "),
        (("--models-dir", "."), 2, "paintdiff paint: --models-dir: "),
        (("--lora", "none-such"), 2, "paintdiff paint: --lora: "),
        (("--key", "two words"), 2, "paintdiff paint: --key: "),
    ],
)
def test_what_cant_be_used_is_said_as_here(
    shared: LiveApp,
    tmp_path: Path,
    flags: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "boat.png"
    assert run(shared, "paint", "a boat", *SMALL, *flags, "--output", output) == code
    err = capsys.readouterr().err.lstrip("\r ")  # where the progress bar was
    assert err.startswith(said) and err.count("\n") == 1
    assert not output.exists()


def test_a_wrong_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: LiveApp) -> None:
    monkeypatch.setattr(connection, "MAX_UNREACHED_SECONDS", 0.1)
    paint = ["paint", "a boat", "--output", str(tmp_path / "boat.png"), "--server"]
    assert main.main([*paint, "http://127.0.0.1:9"]) == 1
    for wrong in ("ftp://host", "http://", "http://[", "http://host/?a=b"):
        assert main.main([*paint, wrong]) == 2
    live.faults += [Fault("GET", "/health", 404), Fault("GET", "/health", 302)]
    assert main.main([*paint, live.url]) == 1
    assert main.main([*paint, live.url]) == 1


def test_each_break_is_mended_and_nothing_painted_twice(
    live: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live.faults += [
        Fault("GET", "/health", 503),
        Fault("POST", "/api/jobs", 429, headers={"Retry-After": "0"}),
        Fault("POST", "/api/jobs", 502),
        Fault("POST", "/api/jobs"),  # the server has taken it, and nobody hears of that
        Fault("GET", "/api/jobs/", at=b"event: progress"),
        Fault("GET", "/api/jobs/", at=b"event: finished"),
        Fault("GET", "/api/jobs/", at=b"PNG"),
    ]
    output = tmp_path / "boat.png"
    assert run(live, "paint", "a red boat", *SMALL, "--output", output) == 0
    assert live.faults == []
    assert [output.read_bytes()] == live.saved()
    posts = [each for each in live.requests if each[0] == "POST"]
    assert len(posts) == 4 and len({each[2]["idempotency-key"] for each in posts}) == 1
    follows = [each[2] for each in live.requests if each[1].endswith("/events")]
    numbers = [int(each["last-event-id"]) for each in follows]
    assert numbers[0] == 0 and numbers == sorted(numbers) and numbers[-1] > 0
    assert "Trying again in" in capsys.readouterr().err


def test_a_server_that_asks_for_time_gets_it(
    live: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live.faults += [Fault("POST", "/api/jobs", 429, headers={"Retry-After": "1"})]
    begun = time.monotonic()
    assert run(live, "paint", "a boat", *SMALL, "--output", tmp_path / "boat.png") == 0
    assert time.monotonic() - begun >= 1
    assert "is busy" in capsys.readouterr().err


def test_a_restarted_server_is_asked_again(live: LiveApp, tmp_path: Path) -> None:
    output = tmp_path / "boat.png"
    flags = ("--size", "64x64", "--steps", "1000", "--seed", "1", "--profile", "exact")
    codes: list[int] = []
    arguments = ["paint", "a boat", *flags, "--server", live.url, "--output", str(output)]
    client = threading.Thread(target=lambda: codes.append(main.main(arguments)))
    client.start()
    _wait_for(lambda: any(each[1].endswith("/events") for each in live.requests))
    live.stop()
    live.requests.clear()
    live.start()
    _wait_for(lambda: any(each[0] == "POST" for each in live.requests))
    client.join(300)
    assert codes == [0]
    assert [output.read_bytes()] == live.saved()


def test_ctrl_c_cancels_on_the_server(
    live: LiveApp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        _wait_for(lambda: live.engine.status().running_job_id is not None)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        flags = ("--size", "64x64", "--steps", "1000", "--profile", "exact", "--count", "64")
        assert run(live, "paint", "a boat", *flags, "--output", tmp_path / "boat.png") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted" in capsys.readouterr().err
    assert any(each[0] == "DELETE" for each in live.requests)
    _wait_for(lambda: live.engine.status().running_job_id is None)


def test_the_key_is_sent_and_never_shown(
    live: LiveApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PAINTDIFF_KEY", "a_secret")
    live.faults += [Fault("GET", "/health", 401)]
    assert run(live, "paint", "a boat", *SMALL, "--output", tmp_path / "boat.png") == 1
    assert "secret" not in "".join(capsys.readouterr())
    assert run(live, "paint", "a boat", *SMALL, "--output", tmp_path / "boat.png") == 0
    assert {each[2]["authorization"] for each in live.requests} == {"Bearer a_secret"}
    named = live.url.replace("://", "://ada:secret@")
    live.faults += [Fault("GET", "/health", 404)]
    assert main.main(["paint", "a", "--output", str(tmp_path / "b.png"), "--server", named]) == 1
    assert "secret" not in "".join(capsys.readouterr())


def _wait_for(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
