"""Sentences about clip skip and embeddings."""

from __future__ import annotations

from collections.abc import Sequence


def clip_skip_too_large(clip_skip: int, layers: int) -> str:
    return (
        f"A clip skip of {clip_skip} is too large: the model's text encoder has {layers} layers. "
        f"Use {layers} or less."
    )


def several_tensors(name: str, count: int) -> str:
    return f"{name} isn't an embedding: it contains {count} tensors."


def not_vectors(name: str) -> str:
    return f"{name} isn't an embedding: its tensors aren't vectors."


def wrong_vector_count(name: str, count: int, most: int) -> str:
    return f"{name} has {count} vectors; an embedding has 1 to {most}."


def not_clip_alone(model: str, embedding: str) -> str:
    return f"{model} doesn't use CLIP alone, so it can't use the embedding {embedding}."


def embedding_does_not_fit(
    embedding: str, model: str, widths: str, fitting: str, families: Sequence[str]
) -> str:
    told = f" It is for {', '.join(families)}." if families else ""
    return (
        f"The embedding {embedding} doesn't fit {model}: its vectors have width {widths}, the "
        f"model's {fitting}.{told}"
    )
