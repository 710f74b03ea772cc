"""Sentences of the help while typing a prompt."""

from __future__ import annotations

TOO_MANY_CHECKS = "Too many prompts are being checked. Try again in a moment."
NO_GALLERY = "This page has no gallery, so it has no earlier prompts."

LORA = "LoRA"
EMBEDDING = "embedding"
STYLE = "style"
WILDCARD = "wildcard"
KNOWN_WORD = "word"


def trigger_words(words: str) -> str:
    return f"with {words}"
