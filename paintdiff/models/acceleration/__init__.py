"""How a denoiser is computed: kernels, another engine, what it may leave out. Knows no files."""
