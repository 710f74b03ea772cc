"""Sentences about denoising and decoding."""

from __future__ import annotations


def controlnet_does_not_fit(
    controlnet: str, model: str, key: str, theirs: object, ours: object
) -> str:
    return (
        f"The ControlNet {controlnet} doesn't fit {model}: its {key} is {theirs}, the model's is "
        f"{ours}. Choose another ControlNet."
    )


def again_in_float32(model: str, what: str) -> str:
    return (
        f"Half precision produced NaN values with {model}, so it was {what} again in float32, "
        "which takes longer. Another VAE or model may avoid this."
    )


DECODED_BY_TINY_AUTOENCODER = (
    "Decoded by a tiny autoencoder in place of the VAE: fine details differ."
)


def vae_not_finite(model: str) -> str:
    return (
        f"The VAE of {model} produced NaN values, so the image can't be decoded. Choose another "
        "VAE."
    )


def model_not_finite(model: str) -> str:
    return (
        f"{model} produced NaN values, so there is no picture. Remove its LoRAs or lower their "
        "weights, lower the guidance, or choose another model."
    )


def no_tiny_autoencoder(name: str) -> str:
    return f"There is no tiny autoencoder at {name}."


def without_decoder(name: str) -> str:
    return f"{name} contains no decoder of a tiny autoencoder."


def other_channels(name: str, channels: int, family: str, fitting: int) -> str:
    return (
        f"The tiny autoencoder {name} is for latents of {channels} channels, but {family} has "
        f"{fitting}."
    )


def not_a_tiny_autoencoder(name: str) -> str:
    return f"{name} isn't a tiny autoencoder"
