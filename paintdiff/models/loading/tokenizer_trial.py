"""Tries a model's `tokenizer.json` in a throw-away process: one that is damaged in the right place
would end ours. Importable without torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from paintdiff.config.presets import presets_folder
from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.limits import MAX_TOKENIZER_SECONDS
from paintdiff.models.formats.opening import open_file

FILE_NAME = "tokenizer.json"

_CHILD = Path(__file__).with_name("tokenizer_worker.py")
_NEEDED_VARIABLES = ("SYSTEMROOT", "WINDIR")  # without them Windows starts no process


def try_tokenizers(folder: Path) -> None:
    """Try each tokenizer one level below a model's folder; those that come with the app are known.

    Raises ModelLoadError if one can't be used.
    """
    if folder.resolve().parent == presets_folder():
        return
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        _try_tokenizer(path)


def _try_tokenizer(path: Path) -> None:
    own = {name: os.environ[name] for name in _NEEDED_VARIABLES if name in os.environ}
    try:
        with open_file(path) as file:
            done = subprocess.run(
                [sys.executable, "-I", "-B", str(_CHILD)],
                stdin=file,
                capture_output=True,
                env={**own, "TOKENIZERS_PARALLELISM": "false"},
                timeout=2 * MAX_TOKENIZER_SECONDS,
                check=False,
            )
    except OSError as error:
        raise ModelLoadError(f"{path.name} can't be tried: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise ModelLoadError(
            f"{path.name} isn't a usable tokenizer: trying it took longer than "
            f"{2 * MAX_TOKENIZER_SECONDS} seconds."
        ) from error
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip()
        raise ModelLoadError(
            f"{path.name} isn't a usable tokenizer: "
            f"{said or f'it ended the process that tried it (status {done.returncode})'}. "
            "Download the model again."
        )
