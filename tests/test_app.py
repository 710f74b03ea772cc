"""The app as a process: imported by a Space, started from a shell."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from paintdiff.accounts.directory import Directory
from paintdiff.accounts.scopes import VISITOR_SCOPES
from paintdiff.accounts.store import AccountStore
from paintdiff.app import _check_shared  # pyright: ignore[reportPrivateUsage]
from paintdiff.config.settings import Settings
from paintdiff.errors import SettingsError
from paintdiff.gallery.gallery import Gallery

ROOT = Path(__file__).resolve().parents[1]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    nowhere = {"XDG_CONFIG_HOME": str(ROOT / "no-such-folder")}  # a pinned model would change tests
    return {**kept, "PYTHONPATH": str(ROOT), **nowhere, **more}


def run(*flags: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "app.py"), *flags]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def python(script: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env=environment(HOME=str(cwd / "home")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


IMPORTED = """
import json, socket, sys
def refuse(*_, **__): raise AssertionError("a connection was opened")
socket.socket.connect = refuse
sys.argv = ["someone-else.py", "--nonsense"]
import app, gradio
print(json.dumps({
    "demo": isinstance(app.demo, gradio.Blocks),
    "heavy": [name for name in ("torch", "diffusers", "transformers") if name in sys.modules],
}))
"""


def test_a_space_can_import_it(tmp_path: Path) -> None:
    """It exposes `demo`; it reads no flags, connects to nothing, loads and writes nothing."""
    done = python(IMPORTED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"demo": True, "heavy": []}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


REFUSED = """
import io, json, sys
from contextlib import redirect_stderr
sys.modules["webview"] = None  # as where it isn't installed
import app
answers = []
for flags in json.loads(sys.argv[1]):
    with redirect_stderr(io.StringIO()) as said:
        answers.append([app.main(flags), said.getvalue()])
print(json.dumps(answers))
"""

WRONG_FLAGS = (
    ("--port", "70000"),
    ("--nonsense",),
    ("--share",),
    ("--model", "no/such/model/x"),
    ("--controlnet", "no/such/controlnet/x"),
    ("--controlnet", str(ROOT / "presets")),
)
DATABASE = ("--database-url", "mysql://ann:secret@host/db")
WINDOWS = (("--window",), ("serve", "--window"))

Refusals = Mapping[tuple[str, ...], tuple[int, str]]
"""Exit codes and what was said, by flags."""


@pytest.fixture(scope="module")
def taken_port() -> Iterator[tuple[str, str]]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield "--port", str(taken.getsockname()[1])


@pytest.fixture(scope="module")
def refusals(taken_port: tuple[str, str]) -> Refusals:
    """What the app refuses at its start, all in one process, which takes seconds to import."""
    flags = (*WRONG_FLAGS, DATABASE, *WINDOWS, taken_port)
    done = python(REFUSED, json.dumps(flags), cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    answers = json.loads(done.stdout)
    return dict(zip(flags, map(tuple, answers), strict=True))


def test_a_wrong_flag_is_one_line_and_exit_code_2(refusals: Refusals) -> None:
    for flags in WRONG_FLAGS:
        code, said = refusals[flags]
        assert code == 2 and len(said.strip().splitlines()) == 1, (flags, said)
    assert run("--nonsense").returncode == 2


COMPOSED = """
import os, sys
import app
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
models, folder = sys.argv[1:]
for flags, variables in (
    (["--controlnet", folder], {}),
    (["--controlnet", "mine"], {}),
    ([], {"CONTROLNET": folder}),
):
    os.environ |= variables
    engine = app.App.compose(app.Settings.read(["--models-dir", models, *flags])).engine
    catalog = engine.manager.catalog
    print([row.name for row in catalog.fitting(ControlNetRow, catalog.find(ModelRow, "mini"))][0])
    annotators = engine._annotators._folders[0]
    engine.close()
print(annotators)
print("torch" in sys.modules)  # nothing heavy is imported for it
"""


def test_the_controlnet_that_is_named_is_the_default(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "controlnet" / "mine"
    folder.mkdir(parents=True)
    config = {"_class_name": "ControlNetModel", "cross_attention_dim": 256}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "diffusion_pytorch_model.safetensors").touch()
    models = tmp_path / "models"
    done = python(COMPOSED, str(models), str(folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["mine"] * 3 + [str(models / "annotators"), "False"]


def test_a_public_link_needs_something_that_keeps_strangers_out(tmp_path: Path) -> None:
    accounts = Directory(Gallery(tmp_path))
    for flags in (["--auth", "a:b"], ["--share-open"]):
        _check_shared(Settings.read(["--share", *flags]), accounts)
    with pytest.raises(SettingsError, match="users create"):
        _check_shared(Settings.read(["--share"]), accounts)
    gallery = Gallery(tmp_path)
    AccountStore(gallery.database).create_user("ada", "a password", VISITOR_SCOPES)
    gallery.close()
    _check_shared(Settings.read(["--share"]), Directory(Gallery(tmp_path)))


RECORDED = """
import app
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.requests import TextToImage
composed = app.App.compose(app.Settings.read(["--output-dir", "out", "--engine", "torch"]))
small = TextToImage(prompt="a boat", num_inference_steps=2, seed=1, width=64, height=64)
done = composed.engine.generate(small)
composed.engine.close()
(picture,) = done.pictures
file = composed.gallery.store.get(picture.id).file
print(composed.gallery.path_of(file) == picture.path.absolute())
"""


def test_the_app_records_what_it_paints(tmp_path: Path) -> None:
    done = python(RECORDED, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert (tmp_path / "out" / "gallery.sqlite3").is_file()


def test_a_wrong_database_url_is_refused_without_its_password(refusals: Refusals) -> None:
    code, said = refusals[DATABASE]
    assert code == 2
    assert "postgresql://USER@HOST/DATABASE" in said
    assert "secret" not in said


def test_help_is_quick_and_whole() -> None:
    done = run("--help")
    assert done.returncode == 0 and "--memory-budget" in done.stdout
    assert ";  by default" not in done.stdout, "a value that is empty has no name"


def test_a_port_in_use_is_said_with_what_to_do(
    refusals: Refusals, taken_port: tuple[str, str]
) -> None:
    code, said = refusals[taken_port]
    assert code == 1
    assert f"Port {taken_port[1]} is in use" in said and "--port" in said
    assert len(said.strip().splitlines()) == 1


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def fetched(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {})) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@contextmanager
def started(
    *command: str, port: int, first: Path | None = None
) -> Generator[subprocess.Popen[str]]:
    """A server that answers at `port`; modules in the folder `first` come before all others."""
    path = str(ROOT) if first is None else f"{first}{os.pathsep}{ROOT}"
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT if first is None else first,
        env=environment(PYTHONPATH=path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        until = time.monotonic() + 90
        while process.poll() is None:
            try:
                fetched(f"http://127.0.0.1:{port}/health")
                break
            except urllib.error.URLError:
                assert time.monotonic() < until
                time.sleep(0.1)
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_serves_behind_its_guard_and_stops_at_once(port: int, tmp_path: Path) -> None:
    command = (str(ROOT / "app.py"), "--port", str(port), "--auth", "ada:secret")
    with started(*command, "--output-dir", str(tmp_path), port=port) as process:
        url = f"http://127.0.0.1:{port}/"
        assert fetched(url)[0] == 401
        right = {"Authorization": "Basic YWRhOnNlY3JldA=="}
        status, page = fetched(url, right)
        assert status == 200 and b"PaintDiffusion" in page
        for route, there in (("status", 200), ("theme.css", 200), ("config", 404)):
            assert fetched(url + route)[0] == 401, route
            assert fetched(url + route, right)[0] == there, route
        assert fetched(url, {**right, "Host": "evil.example"})[0] == 421
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_without_a_page_it_serves_the_api_and_imports_no_gradio(port: int, tmp_path: Path) -> None:
    (tmp_path / "gradio.py").write_text("raise AssertionError('gradio was imported')")
    flags = ("--port", str(port), "--output-dir", str(tmp_path / "out"))
    with started("-m", "paintdiff", "serve", *flags, port=port, first=tmp_path) as process:
        url = f"http://127.0.0.1:{port}"
        request = json.dumps({"prompt": "a boat", "num_inference_steps": 2, "width": 64}).encode()
        with urllib.request.urlopen(f"{url}/generate", request) as answer:
            painted = json.load(answer)
        assert fetched(f"{url}/api/images/{painted['id']}/file")[1].startswith(b"\x89PNG")
        assert fetched(f"{url}/docs")[0] == 200
        for route in ("", "config", "gradio_api/info", "status", "gallery/pictures"):
            assert fetched(f"{url}/{route}")[0] == 404, route
        assert fetched(f"{url}/health", {"Host": "evil.example"})[0] == 421
        process.send_signal(signal.SIGINT)
        said, failures = process.communicate(timeout=60)
    assert (process.returncode, failures) == (0, "")
    assert said.splitlines()[0] == (
        f"PaintDiffusion's API is at {url}, described at {url}/docs (Ctrl-C stops it)."
    )


def test_the_command_line_starts_the_app() -> None:
    helps = {
        "app": "usage: python app.py ",
        "serve": "usage: python -m paintdiff serve ",
        "": "usage: paintdiff ",
    }
    for command, usage in helps.items():
        flags = ["-m", "paintdiff", *([command] if command else []), "--help"]
        shown = subprocess.run(
            [sys.executable, *flags], cwd=ROOT, env=environment(), capture_output=True, text=True
        )
        assert shown.stdout.startswith(usage), shown.stderr
    assert "serve " in shown.stdout and "app " in shown.stdout


WINDOW = """
import sys, urllib.request
from types import SimpleNamespace
shown = []
def start():
    with urllib.request.urlopen(shown[0][1] + "/status") as answer:
        print(shown[0][0], answer.status)
sys.modules["webview"] = SimpleNamespace(
    create_window=lambda title, url, **_size: shown.append((title, url)), start=start
)
from paintdiff.app import main
sys.exit(main(["app", "--window", "--port", sys.argv[1], "--output-dir", sys.argv[2]]))
"""


def test_a_window_shows_the_page_and_ends_the_app(port: int, tmp_path: Path) -> None:
    done = python(WINDOW, str(port), str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "PaintDiffusion 200" in done.stdout.splitlines()


def test_a_window_needs_pywebview_and_a_page(refusals: Refusals) -> None:
    (with_page, first), (without, second) = (refusals[flags] for flags in WINDOWS)
    assert (with_page, without) == (2, 2)
    assert "pip install pywebview" in first and "serve has none" in second


SHARED = """
import io, sys, types
import gradio.networking
gradio.networking.setup_tunnel = lambda *_: "https://abc.gradio.live"
from paintdiff.app import App
from paintdiff.server.guard import Hosts
from paintdiff.config.settings import Settings
nothing = None
settings = Settings(share=True, share_open=True)
hosts = Hosts()
app = App(settings, *[nothing] * 7, hosts, nothing)
app._share()
print("abc.gradio.live" in hosts)
sys.stdout.reconfigure(encoding="ascii")
app._share()
"""


def test_a_share_link_has_a_qr_code_where_the_terminal_can_show_it() -> None:
    done = python(SHARED, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    shown, _, ascii_only = done.stdout.partition("True\n")
    link = "Share this link: https://abc.gradio.live"
    assert shown.splitlines()[0] == ascii_only.strip() == link
    code = shown.splitlines()[1:]
    assert len({len(line) for line in code}) == 1 and set("".join(code)) <= set("█▀▄ ")
