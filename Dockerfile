# syntax=docker/dockerfile:1
# docker build --target cpu -t paintdiffusion .     or: --target cuda
# docker run --rm -p 127.0.0.1:7860:7860 -v paintdiffusion:/data paintdiffusion
# Flags follow the image's name: ... paintdiffusion --auth-file /run/secrets/auth; "serve" first is the API without the page.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The wheel.
FROM base AS wheel
WORKDIR /source
RUN pip install hatchling==1.33.0
COPY pyproject.toml hatch_build.py README.md LICENSE THIRD_PARTY.md ./
COPY paintdiff paintdiff
COPY presets presets
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheel .

# The dependencies come before the app, so that a new version of it doesn't download them again. torch's index for the CPU
# has builds without CUDA, which are smaller by gigabytes.
FROM base AS dependencies-cpu
COPY requirements.txt /requirements.txt
RUN python -m venv /opt/paintdiffusion \
    && /opt/paintdiffusion/bin/pip install --requirement /requirements.txt "psycopg[binary]>=3.2,<4" \
        --extra-index-url https://download.pytorch.org/whl/cpu

FROM base AS dependencies-cuda
COPY requirements.txt /requirements.txt
RUN python -m venv /opt/paintdiffusion \
    && /opt/paintdiffusion/bin/pip install --requirement /requirements.txt "psycopg[binary]>=3.2,<4"

# What both images have: a user of its own, and /data for everything that is written.
FROM base AS runtime
RUN groupadd --gid 10001 paintdiffusion \
    && useradd --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin paintdiffusion \
    && install -d -o paintdiffusion -g paintdiffusion /data /data/outputs /data/models /data/cache /data/huggingface
ENV PATH=/opt/paintdiffusion/bin:$PATH \
    HOME=/data \
    HF_HOME=/data/huggingface \
    GRADIO_ANALYTICS_ENABLED=False \
    PAINTDIFF_HOST=0.0.0.0 \
    PAINTDIFF_OUTPUT_DIR=/data/outputs \
    PAINTDIFF_MODELS_DIR=/data/models \
    PAINTDIFF_CACHE_DIR=/data/cache
COPY docker/health.py /usr/local/lib/paintdiffusion/health.py
VOLUME /data
WORKDIR /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
    CMD ["python", "/usr/local/lib/paintdiffusion/health.py"]
ENTRYPOINT ["paintdiffusion"]

FROM runtime AS cuda
COPY --from=dependencies-cuda /opt/paintdiffusion /opt/paintdiffusion
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel pip install --no-deps /wheel/*.whl
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001

FROM runtime AS cpu
COPY --from=dependencies-cpu /opt/paintdiffusion /opt/paintdiffusion
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel pip install --no-deps /wheel/*.whl
USER 10001:10001
