# One image for every process of Seawall: `seawall serve ROLE`, hooks, tests. No compiler inside.
# Built by `make image`; the base is chosen by tag, and must be the same in all stages. The target
# `load` is the same image with locust and the load test: `make image IMAGE_TARGET=load`.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# What the image holds, by hash, in an environment that has no pip of its own.
COPY requirements-image.lock ./
RUN python3 -m venv --without-pip /opt/seawall \
    && python3 -m pip --python /opt/seawall/bin/python install \
    --no-deps --require-hashes --only-binary :all: -r requirements-image.lock
# What builds the wheel, with the modules that are generated from proto/; it stays behind.
COPY requirements.lock ./
RUN python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY tools ./tools
COPY proto ./proto
COPY services ./services
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python3 -m pip --python /opt/seawall/bin/python install --no-deps dist/*.whl

FROM build AS build-load
COPY requirements-load.lock ./
RUN python3 -m pip --python /opt/seawall/bin/python install \
    --no-deps --require-hashes --only-binary :all: -r requirements-load.lock

FROM ${BASE} AS load
ENV PATH=/opt/seawall/bin:$PATH PYTHONPATH=/opt PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build-load /opt/seawall /opt/seawall
COPY loadtest /opt/loadtest
USER 10001:10001
ENTRYPOINT ["locust", "-f", "/opt/loadtest/locustfile.py", "--headless"]

FROM ${BASE} AS site
ENV PATH=/opt/seawall/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/seawall /opt/seawall
# The commit that was built, for seawall_build_info; last, so that it costs no layer its cache.
ARG GIT_SHA=unknown
ENV SEAWALL_GIT_SHA=$GIT_SHA
USER 10001:10001
ENTRYPOINT ["seawall"]
