"""Faster denoising: kernels, caches over steps, batch sizes and OpenVINO."""
