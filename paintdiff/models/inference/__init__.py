"""One denoising run: schedulers, noise, latents, previews."""
