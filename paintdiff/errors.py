"""Every error that PaintDiffusion raises on purpose.

    PaintError
    ├── RequestError            a value of a request can't be used (also a ValueError)
    │   ├── SizeError           a width, height or box
    │   └── UnknownNameError    a model, sampler, preset or style that isn't there
    ├── SettingsError           a flag or an environment variable
    ├── PresetError             a file under presets/ that can't be read or doesn't fit
    ├── PromptFileError         a file of wildcards or styles that can't be used
    ├── EngineError
    │   ├── QueueFullError      come back later
    │   │   └── VisitorLimitError   one visitor has asked for as much as each may
    │   ├── EngineClosedError   the engine has been shut down
    │   ├── JobNotFoundError    no job of that id
    │   └── JobCancelledError   the job was cancelled (raised by `Job.result`, and inside tasks)
    ├── ModelError              something is wrong with a model
    │   ├── ModelNotFoundError  nothing at that place
    │   │   └── DownloadError   it can't be downloaded
    │   │       ├── HubUnavailableError     Hugging Face can't or mustn't be reached now
    │   │       ├── GatedModelError         its owner has to be asked first
    │   │       └── DownloadCancelledError  somebody said no
    │   ├── DiskSpaceError      there is no room on the disk for it, or for its converted weights
    │   ├── ModelLoadError      it is there and can't be loaded
    │   ├── UnsafeWeightsError  it is in a format that could run code
    │   ├── ModelDeleteError    it can't, or mustn't, be deleted
    │   ├── MemoryBudgetError   it doesn't fit, even after every fallback
    │   ├── NotFiniteError      it painted NaN values
    │   └── AnnotatorError      a preprocessor's weights can't be had
    ├── MetadataError           a picture whose settings can't be read
    │   ├── NoMetadataError     it carries none
    │   └── NotRepeatableError  they are another program's, so they can't paint the same bits again
    ├── AnimationError          an animation can't be made
    ├── StorageError            a picture that can't be written
    ├── GalleryError            the gallery's database can't do what it was asked
    │   ├── PictureNotFoundError       no picture of that id
    │   ├── InputMissingError          an input image isn't in the gallery
    │   ├── PictureRecordedError       that file is in the gallery already
    │   ├── GalleryUnavailableError    locked by another program, or out of reach: try again
    │   ├── GalleryFullError           the disk is full: make room and try again
    │   ├── GalleryReadOnlyError       it can't be made or written there
    │   ├── GalleryDamagedError        its file is damaged, or isn't a gallery
    │   └── GalleryTooNewError         a newer PaintDiffusion made it
    ├── ServerError             a server that can't be used from here
    │   ├── ServerUnavailableError     it can't be reached, or is busy: try again
    │   └── AccessRefusedError         it doesn't let this client in
    └── WorldError              the embedded model's world or recipe was asked for something unknown

A message names the value, the limit, and what to do about it.
"""

from __future__ import annotations


class PaintError(Exception):
    """The root. Catch it to catch all of ours and nothing else."""


class RequestError(PaintError, ValueError):
    """A value of a request can't be used. `field` names it, so that a form can show it there."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class SizeError(RequestError):
    """A width, height or box outside its limits."""


class UnknownNameError(RequestError):
    """A name that is in no table, or that several things have; the message lists the nearest ones.

    `what` is what was looked for ("LoRA"), `name` its name, `suggestion` the name that was probably
    meant, None if none is near.
    """

    def __init__(
        self,
        message: str,
        field: str | None = None,
        *,
        what: str = "",
        name: str = "",
        suggestion: str | None = None,
    ) -> None:
        super().__init__(message, field)
        self.what = what
        self.name = name
        self.suggestion = suggestion

    def at(self, field: str, more: str = "") -> UnknownNameError:
        """Return the same error for another field, with `more` appended to its message."""
        message = f"{self} {more}".rstrip()
        return UnknownNameError(
            message, field, what=self.what, name=self.name, suggestion=self.suggestion
        )


class SettingsError(PaintError):
    """A flag or environment variable can't be used."""


class PresetError(PaintError):
    """A file under presets/ can't be read or doesn't fit its schema."""


class PromptFileError(PaintError):
    """A file of wildcards or styles can't be used. The message doesn't name it."""


class EngineError(PaintError):
    """The engine can't take or run a job."""


class QueueFullError(EngineError):
    """As many jobs wait as may."""


class VisitorLimitError(QueueFullError):
    """A visitor has as many jobs as each may have, or painted as much as each may for now.

    `retry_after_seconds` is when there is room again, None if nobody knows.
    """

    def __init__(self, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class EngineClosedError(EngineError):
    """The engine has been shut down."""


class JobNotFoundError(EngineError):
    """No job has that id, or it has been forgotten."""


class JobCancelledError(EngineError):
    """The job was cancelled."""


class ModelError(PaintError):
    """Something is wrong with a model."""


class ModelNotFoundError(ModelError):
    """Nothing is at the place where the model should be."""


class DownloadError(ModelNotFoundError):
    """The model can't be downloaded."""


class HubUnavailableError(DownloadError):
    """Hugging Face can't be reached, is busy, or mustn't be asked (HF_HUB_OFFLINE).

    `retry_after_seconds` is how long it wants to be left alone, 0 if it didn't say.
    """

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class GatedModelError(DownloadError):
    """The model's owner has to be asked first, or the token isn't of one who may have it."""


class DownloadCancelledError(DownloadError):
    """The download was cancelled. What had come is kept."""


class DiskSpaceError(ModelError):
    """There isn't enough room on the disk for the model, or for its converted weights."""


class ModelLoadError(ModelError):
    """The model is there and can't be loaded."""


class UnsafeWeightsError(ModelError):
    """The weights are in a format that could run code when read."""


class ModelDeleteError(ModelError):
    """The model can't be deleted, or lies where nothing of ours may delete."""


class MemoryBudgetError(ModelError):
    """The model doesn't fit into memory, even after every fallback.

    `needed_bytes` is what it was refused for before anything was tried, None if it was tried.
    """

    def __init__(self, message: str, needed_bytes: int | None = None) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes


class NotFiniteError(ModelError):
    """The model produced NaN or infinite values."""


class AnnotatorError(ModelError):
    """A preprocessor's weights can't be had or can't be used."""


class MetadataError(PaintError):
    """A picture's settings can't be read."""


class NoMetadataError(MetadataError):
    """A picture carries no settings."""


class NotRepeatableError(MetadataError):
    """A picture's settings aren't a request of ours, so they can't paint the same bits again."""


class AnimationError(PaintError):
    """An animation can't be made: it would be too large, or a library is missing."""


class StorageError(PaintError):
    """A picture can't be written."""


class GalleryError(PaintError):
    """The gallery's database can't do what it was asked. Nothing in it has changed."""


class PictureNotFoundError(GalleryError):
    """No picture of the gallery has that id."""


class InputMissingError(GalleryError):
    """An input image of a picture isn't in the gallery, or was changed."""


class PictureRecordedError(GalleryError):
    """The picture's file is in the gallery already."""


class GalleryUnavailableError(GalleryError):
    """The database is locked by another program, or can't be reached. Trying again may help."""


class GalleryFullError(GalleryError):
    """The disk of the database is full."""


class GalleryReadOnlyError(GalleryError):
    """The database can't be made or written in its place."""


class GalleryDamagedError(GalleryError):
    """The database's file is damaged, or isn't that of a gallery."""


class GalleryTooNewError(GalleryError):
    """A newer version of PaintDiffusion made the database."""


class ServerError(PaintError):
    """A server can't be used from here."""


class ServerUnavailableError(ServerError):
    """The server can't be reached, or stays busy."""


class AccessRefusedError(ServerError):
    """The server doesn't let this client in."""


class WorldError(PaintError, ValueError):
    """The embedded model's world or recipe was asked for something it doesn't have."""
