#!/usr/bin/env bash
# Licences, bans and sources of all dependencies; known vulnerabilities too, where their database can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo deny --log-level error check licenses bans sources

# The database is a git repository on GitHub, which not every build machine reaches: that must be seen, but is no failure.
if timeout 120 cargo deny --log-level off fetch db >/dev/null 2>&1; then
    cargo deny --log-level error check --disable-fetch advisories
else
    echo "NOT CHECKED: advisories. Their database (github.com/RustSec/advisory-db) cannot be reached from here." >&2
fi
