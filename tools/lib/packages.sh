# Sourced: installs the Debian packages that are missing. Needs root or sudo only when something is missing.

BUILD_PACKAGES="ca-certificates gcc libc6-dev cmake ninja-build pkg-config python3 git procps iproute2
  libuv1-dev libzmq3-dev libyaml-dev libsqlite3-dev libprotobuf-c-dev protobuf-c-compiler libjansson-dev
  uthash-dev libisal-dev libxxhash-dev libcmocka-dev"
TEST_PACKAGES="clang clang-format libclang-rt-14-dev libasan8 libubsan1 binutils"

install_missing() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "installing: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "these packages are missing, install them as root: ${missing[*]}" >&2; return 1; }
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || return 1
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null || return 1
}

# build PRESET: configures once and builds; prints only what went wrong.
build() {
    local preset=$1 log
    log=$(mktemp)
    if ! { { [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"; } && cmake --build --preset "$preset"; } >"$log" 2>&1; then
        tail -60 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
