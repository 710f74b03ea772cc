"""Tries a model's `tokenizer.json` in a separate process, which a damaged one could crash.

Importable without torch.
"""

from __future__ import annotations

from pathlib import Path

from paintdiff.config.presets import presets_folder
from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.limits import MAX_TOKENIZER_SECONDS, MAX_VOCABULARY_BYTES
from paintdiff.models.formats.trials import run_trial
from paintdiff.models.loading import messages
from paintdiff.system.regular_files import open_file

FILE_NAME = "tokenizer.json"

_CHILD = Path(__file__).with_name("trial_worker.py")


def try_tokenizers(folder: Path) -> None:
    """Try each tokenizer one level below a model's folder, except in folders of this app.

    Raises:
        ModelLoadError: A tokenizer isn't usable.
    """
    if folder.resolve().parent == presets_folder():
        return
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        _try_tokenizer(path)


def _try_tokenizer(path: Path) -> None:
    try:
        with open_file(path) as file:
            content = file.read(MAX_VOCABULARY_BYTES)
        reason = run_trial(_CHILD, content, 2 * MAX_TOKENIZER_SECONDS)
    except OSError as error:
        raise ModelLoadError(messages.unreadable(path.name, error.strerror)) from error
    if reason is not None:
        raise ModelLoadError(messages.unusable_tokenizer(path.name, reason))
