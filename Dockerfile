# Looks at videos with a finished run, or serves one:
#
#     docker build --tag l2l .
#     docker run --rm --volume "$PWD:/data" l2l infer film.mp4 --run=skim.l2l
#     docker run --rm --volume "$PWD:/data" --publish 8000:8000 l2l serve --run=skim.l2l --host=0.0.0.0
#
# With CUDA: --build-arg JAX="jax[cuda12]", and `--gpus all` when it runs.
FROM python:3.11-slim

ARG JAX=jax
# Extras of pyproject.toml; "serve,train" can train, too.
ARG EXTRAS=serve

WORKDIR /src
COPY . .
# The ranges of versions are pyproject.toml's, also of JAX.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[${EXTRAS}]" "${JAX}" && \
    rm -rf /src/* && \
    useradd --create-home --uid 1000 l2l

USER 1000
WORKDIR /data
ENTRYPOINT ["l2l"]
CMD ["--help"]
