# The environment of models: Python with the runtime's locked dependencies, those that only some models need of it, and
# those of one set of models on top. Each is a layer, by how many images share it.
#
# Build arguments:  BASE               any image of Debian's kind with Python 3.10 or later, pip and venv
#                   EXTRAS             names of requirements.NAME.lock to install too, with spaces; may be empty
#                   REQUIREMENTS       the models' requirements, one in each line; may be empty
#                   SOURCE_DATE_EPOCH  the time that every file gets
#                   TARGETARCH, TARGETVARIANT   the platform, as BuildKit sets them
# Named contexts:   runtime            this folder, for requirements.*
# Secrets:          pip_conf           a pip.conf: package mirrors; may be missing
#                   ca_bundle          certificates to trust beside pip's own, as PEM; may be missing
# Secrets are there while pip runs, and in no layer.
ARG BASE=python:3.11-slim

FROM scratch AS tools
COPY --chmod=755 <<'EOF' /environment
#!/bin/sh
# environment runtime|extras|models: installs one layer of /opt/venv, the same bytes whenever and wherever it runs.
set -eu
# Base images have no compiled standard library, or not all of it, and pip must leave nothing of its own behind.
export PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
cd /mnt/locks

# The venv has no pip: the base image's installs into it, so that none has to be removed afterwards.
install() {
    base_python=$(PATH=${PATH#/opt/venv/bin:} command -v python3)
    if [ -f /run/secrets/pip_conf ]; then
        export PIP_CONFIG_FILE=/run/secrets/pip_conf
    fi
    if [ -f /run/secrets/ca_bundle ]; then
        export PIP_CERT=/tmp/certificates.pem
        pips_own=$("$base_python" -c 'from pip._vendor import certifi; print(certifi.where())')
        cat "$pips_own" /run/secrets/ca_bundle >"$PIP_CERT"
    fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
    "$base_python" -m pip --python /opt/venv/bin/python install --no-compile --prefer-binary "$@" && return
    if [ "$TARGETARCH" != amd64 ]; then
        echo "pip cannot install this for linux/$TARGETARCH${TARGETVARIANT:+/$TARGETVARIANT}: what it names above has no" \
            "wheel for that platform and this Python. Take a version that has one, or take the platform away." >&2
    fi
    return 1
}

# A base image that exists for one platform only is taken for every other one too: BuildKit warns of it, and goes on.
check_base() {
    triplet=$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("MULTIARCH") or "")')
    case $TARGETARCH:$triplet in
    amd64:x86_64-* | arm64:aarch64-* | arm:arm-* | *:) ;;
    amd64:* | arm64:* | arm:*)
        echo "The base image (slipway:baseImage) is of $triplet, and was taken for linux/$TARGETARCH: it does not exist" \
            "for that platform. Name one that does." >&2
        return 1
        ;;
    esac
}

# compile stdlib|purelib [TEST-FOR-FIND...]: the modules of that folder, and those packages that pass the tests.
# A container's root is read-only, so what is not compiled now is compiled at every start. The hash of the source
# instead of its time makes a .pyc reproducible, and unchecked it costs nothing to load. A process for each package
# also keeps the bytes the same: a .pyc depends on what its process compiled before. What is no valid Python
# (templates) stays as it is.
compile() {
    folder=$(python -c 'import sys, sysconfig; print(sysconfig.get_path(sys.argv[1]))' "$1")
    shift
    each() { xargs -0 -r -n 1 -P "$(nproc)" sh -c '"$@" || :' sh "$@"; }
    printf '%s\0' "$folder" | each python -m compileall -qq -l --invalidation-mode unchecked-hash
    find "$folder" -mindepth 1 -maxdepth 1 -type d ! -name __pycache__ ! -name '*-packages' ! -name 'test*' \
        ! -name idlelib ! -name lib2to3 ! -name tkinter ! -name turtledemo ! -name ensurepip ! -name 'config-*' "$@" \
        -print0 | sort -z | each python -m compileall -qq -x '/tests?/' --invalidation-mode unchecked-hash
}

# All that is newer than /tmp/start gets one fixed time; what is mounted has none in the layer.
seal() {
    find / -xdev \( -path /dev -o -path /mnt -o -path /proc -o -path /run -o -path /sys -o -path /tmp \
        -o -path /etc/hosts -o -path /etc/resolv.conf -o -path /root/.cache/pip \) -prune \
        -o -newer /tmp/start -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +
}

touch --date='1 second ago' /tmp/start
case $1 in
runtime)
    check_base
    echo 'slipway:x:65532:' >>/etc/group
    echo 'slipway:x:65532:65532::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
    # A volume that is mounted here takes this owner over, and the one who serves can write to it.
    mkdir -p /var/lib/slipway/collected /var/lib/slipway/edge
    chmod 700 /var/lib/slipway/collected /var/lib/slipway/edge
    chown 65532:65532 /var/lib/slipway/collected /var/lib/slipway/edge
    python3 -m venv --without-pip /opt/venv
    lock=requirements.lock
    if [ "$TARGETARCH" = arm ]; then
        # These two have no wheel there, and a module of IoT Edge works without them. No marker in the lock could tell:
        # a kernel of 64 bits that runs programs of 32 bits names its own processor.
        lock=/tmp/requirements.lock
        sed '/^\(httptools\|uvloop\)==/,/[^\\]$/d' requirements.lock >"$lock"
    fi
    install --require-hashes -r "$lock"
    compile stdlib
    compile purelib
    ;;
extras)
    for extra in $EXTRAS; do
        set -- "$@" -r "requirements.$extra.lock"
    done
    shift
    if [ $# -gt 0 ]; then
        install --require-hashes "$@"
        compile purelib -newer /tmp/start
    fi
    ;;
models)
    printf '%s\n' "$REQUIREMENTS" >/tmp/requirements.txt
    # Constraints take no hashes. A conflict with the runtime's versions is pip's error, and no image.
    sed -e '/^ *--hash/d' -e 's/ *\\$//' requirements.lock >/tmp/constraints.txt
    # The extras once more by their names: they may get other versions of what they need, but none that they cannot use.
    for extra in $EXTRAS; do
        set -- "$@" -r "requirements.$extra.in"
    done
    shift
    install -r /tmp/requirements.txt -c /tmp/constraints.txt "$@"
    compile purelib -newer /tmp/start
    ;;
esac
seal
EOF

FROM scratch AS locks
COPY --from=runtime requirements.* /

# hadolint ignore=DL3006
FROM ${BASE}
ENV PATH=/opt/venv/bin:$PATH
ARG SOURCE_DATE_EPOCH
ARG TARGETARCH
ARG TARGETVARIANT
# The same layer in every environment.
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/run/secrets/pip_conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    --mount=type=bind,from=tools,target=/mnt/tools \
    --mount=type=bind,from=runtime,source=requirements.lock,target=/mnt/locks/requirements.lock \
    /mnt/tools/environment runtime
ARG EXTRAS=""
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/run/secrets/pip_conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    --mount=type=bind,from=tools,target=/mnt/tools \
    --mount=type=bind,from=locks,target=/mnt/locks \
    /mnt/tools/environment extras
ARG REQUIREMENTS=""
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/run/secrets/pip_conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    --mount=type=bind,from=tools,target=/mnt/tools \
    --mount=type=bind,from=locks,target=/mnt/locks \
    /mnt/tools/environment models
