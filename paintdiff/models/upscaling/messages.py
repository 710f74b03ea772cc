"""Sentences about upscalers and face restorers."""

from __future__ import annotations

# Files.


def damaged_or_cut_off(name: str) -> str:
    return f"{name} is damaged or cut off"


def unsupported_kind(name: str, what: str, version: str, known: str) -> str:
    return f"{name} isn't a supported {what}. Supported kinds (spandrel {version}): {known}."


def too_many_layers(name: str, number: str, most: int) -> str:
    return f"{name} has a layer numbered {number}; at most {most:,} layers in a row are supported."


def something_else(name: str, what: str, does: str, kind: str, example: str) -> str:
    return (
        f"{name} is {what}, which can't {does} on its own. Choose a file of {kind}, such as "
        f"{example}."
    )


# Upscalers.

KNOWN_UPSCALERS = "ESRGAN, Real-ESRGAN, SwinIR, HAT, DAT, OmniSR and more"
UPSCALERS_DO = "enlarge a picture"


def loading(title: str) -> str:
    return f"Loading {title}"


def not_the_official_file(name: str, sha256: str) -> str:
    return (
        f"This isn't the official {name}: its SHA-256 isn't {sha256}. Delete it to download it "
        "again, or rename it."
    )


def upscaler_not_loaded(title: str) -> str:
    return f"The upscaler {title} can't be loaded"


def not_an_upscaler(name: str, kind: str, reason: str) -> str:
    return f"{name} ({kind}) {reason}. Choose another upscaler."


NEEDS_A_MASK = "is an inpainting network, which needs a mask"


def restores_single_faces(folder: str) -> str:
    return (
        f"restores single faces, not whole pictures: put it in the folder {folder} of a models "
        "folder"
    )


def makes_channels(made: int, taken: int) -> str:
    return f"makes {made} channels out of {taken}"


def takes_channels(taken: int) -> str:
    return f"takes pictures with {taken} channels, not grey or RGB"


def enlarges_too_much(scale: int, most: int) -> str:
    return f"enlarges {scale} times; at most {most} is supported"


def upscaler_failed(title: str) -> str:
    return f"The upscaler {title} returned invalid pixels. Its file may be damaged; choose another."


def upscaler_needs_memory(title: str) -> str:
    return f"Not enough memory for the upscaler {title}, even in small tiles. Choose a smaller one."


# Face restorers.

KNOWN_RESTORERS = "GFPGAN and RestoreFormer"
RESTORERS_DO = "repair a face"


def restorer_missing(name: str, title: str) -> str:
    return f"{name}, the file of {title}, is missing. Put it back."


def no_face_detector(name: str) -> str:
    return f"{name} needs a face detector, and none was found."


def restorer_not_loaded(title: str) -> str:
    return (
        f"The face restorer {title} can't be loaded (of GFPGAN the versions 1.2, 1.3 and 1.4 can "
        "be used)"
    )


def not_a_restorer(name: str, kind: str, reason: str) -> str:
    return f"{name} ({kind}) {reason}. Choose a file of GFPGAN or RestoreFormer."


NOT_FOR_FACES = "enlarges or restores pictures, not faces"


def makes_channels_not_rgb(made: int, taken: int) -> str:
    return f"makes {made} channels out of {taken}, not RGB"


def restorer_failed(title: str) -> str:
    return (
        f"The face restorer {title} returned invalid pixels. Its file may be damaged; choose "
        "another."
    )


# Finding faces.


def unreadable(name: str, reason: str | None) -> str:
    return f"{name} can't be read: {reason}."


def not_yunet(name: str, reason: str) -> str:
    return (
        f"{name} can't be used to find faces: {reason}. Use YuNet's "
        "face_detection_yunet_2023mar.onnx."
    )


def larger_than(size: str) -> str:
    return f"it is larger than {size}"


DAMAGED_OR_OTHER = "it is damaged, or another network"


def wrong_shape(name: str, shape: object) -> str:
    return f"{name} has the shape {shape}"
