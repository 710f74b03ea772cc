"""Sentences about loading weights and keeping them in memory."""

from __future__ import annotations


def neither_loaded_nor_failed(name: str) -> str:
    return f"{name} ended up neither loaded nor failed."


def in_use(title: str) -> str:
    return f"{title} is in use. Wait for the job to finish, or cancel it."


def cannot_be_loaded(title: str) -> str:
    return f"{title} can't be loaded"


NO_UNET = "it has no UNet"
