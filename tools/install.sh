#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Idempotent, and silent when nothing is missing.
#
# System packages come from Debian (with sudo when not root), cargo-deny goes to cargo's own programs; everything else goes below
# the repository: .tools/venv (pip), tests/clients/node/node_modules (npm).
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_DENY_VERSION=0.20.2

# package, and the command that succeeds once it is there
needs=(
    "kannel:command -v bearerbox && command -v smsbox"
    "tshark:command -v tshark && command -v dumpcap"
    "prometheus:command -v promtool"
    "libnet-smpp-perl:perl -MNet::SMPP -MJSON::PP -e 1"
    "strace:command -v strace"
    "systemd:command -v systemd-analyze && command -v systemd-sysusers"
    "libfaketime:ls /usr/lib/*/faketime/libfaketime.so.1"
    "openssl:command -v openssl"
    "curl:command -v curl"
    "nodejs:command -v node"
    "npm:command -v npm"
    "python3-venv:/usr/bin/python3 -c 'import ensurepip, venv'"
)

missing_packages() {
    local need
    for need in "${needs[@]}"; do
        # Programs of daemons lie in sbin, which is not on everybody's path.
        PATH="$PATH:/usr/sbin:/sbin" bash -c "${need#*:}" >/dev/null 2>&1 || echo "${need%%:*}"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    local missing
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    echo "installing:" $missing
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    missing=$(missing_packages)
    [ -z "$missing" ] || { echo "still missing after installation:" $missing >&2; exit 1; }
}

install_python() {
    local wanted=tests/clients/python/requirements.txt stamp=.tools/venv/requirements.txt
    cmp -s "$wanted" "$stamp" && return 0
    /usr/bin/python3 -m venv .tools/venv
    .tools/venv/bin/pip install --quiet --requirement "$wanted"
    cp "$wanted" "$stamp"
}

install_node() {
    local wanted=tests/clients/node/package-lock.json stamp=tests/clients/node/node_modules/.installed-lock.json
    cmp -s "$wanted" "$stamp" && return 0
    npm --prefix tests/clients/node ci --no-audit --no-fund --loglevel=error
    cp "$wanted" "$stamp"
}

install_cargo_deny() {
    command -v cargo-deny >/dev/null && return 0
    # A debug build: it is compiled in a fraction of the time and runs for seconds. It goes where cargo keeps its own programs, so
    # that the next checkout on this machine has it.
    cargo install --quiet --locked --debug "cargo-deny@$CARGO_DENY_VERSION"
}

install_packages
install_python
install_node
install_cargo_deny
