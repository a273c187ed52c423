# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by ./demo and ./check, which stand in the root of the repository: what Sheaf needs, and how to build it.

# libcfitsio-dev: headers that casacore's include. casacore-data-*: leap seconds and observatories, without which casacore
# cannot convert times and positions. python3-matplotlib: pictures of flags, which Sheaf itself can do without.
packages="build-essential ccache cmake pkg-config casacore-dev libcfitsio-dev casacore-data-observatories casacore-data-tai-utc
libopenmpi-dev openmpi-bin libjansson-dev libxxhash-dev libfftw3-dev libcmocka-dev python3-dev python3-numpy
python3-pytest python3-casacore python3-matplotlib python3-scipy xz-utils"

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Seconds since an unspecified start, with hundredths.
clock() { cut -d' ' -f1 /proc/uptime; }
since() { echo "$1 $(clock)" | awk '{ printf "%.1f s", $2 - $1 }'; }

missing_packages() {
    for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

# Runs a command as root: as we are, or with sudo (which asks for a password only where somebody can give one).
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null; }

# Installs $1; the package lists are fetched only when those of the machine do not do. Leaves the last complaint in $trouble.
install_packages() {
    # shellcheck disable=SC2086
    set -- install --no-install-recommends $1
    trouble=$(apt "$@" 2>&1 >/dev/null) && return
    trouble=$(apt update 2>&1 >/dev/null && apt "$@" 2>&1 >/dev/null)
}

# Where there is no dpkg: says which of the needed programs and libraries are not there.
missing_things() {
    for program in cc c++ cmake make pkg-config mpicc mpirun xz; do
        command -v $program >/dev/null || say "  the program $program"
    done
    for library in jansson cmocka; do
        pkg-config --exists $library 2>/dev/null || say "  the library $library, with its headers"
    done
    for header in xxhash.h fitsio.h casacore/ms/MeasurementSets.h casacore/msfits/MSFits/MSFitsInput.h; do
        echo "#include <$header>" | c++ -std=c++17 -fsyntax-only -x c++ - 2>/dev/null || say "  the header <$header>"
    done
    for module in sysconfig numpy pytest casacore.tables; do
        /usr/bin/python3 -c "import $module" 2>/dev/null || say "  $module for /usr/bin/python3"
    done
}

# Sees to it that all that Sheaf needs is there, or ends with a list of what is missing.
set_up() {
    [ -r /proc/uptime ] || die "Sheaf needs Linux: there is no /proc/uptime here."
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        missing=$(missing_things)
        [ -z "$missing" ] || die "This is no Debian system, so nothing can be installed for you. Missing:
$missing
On Debian 12 these packages hold all of it:
$packages"
        return
    fi
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "These Debian packages are missing, and only root (there is no sudo) can install them:
  apt-get install --no-install-recommends $missing"
    fi
    say "Installing Debian packages: $missing"
    started=$(clock)
    install_packages "$missing" || die "These Debian packages are missing and could not be installed: $(missing_packages)
$trouble"
    missing=$(missing_packages)
    [ -z "$missing" ] || die "These Debian packages are still missing after apt-get: $missing"
    say "  done in $(since "$started")"
}

# Runs a command with its output in the file $1; shows the end of it when it fails.
quietly() {
    output=$1; shift
    "$@" >"$output" 2>&1 </dev/null && return
    tail -n 40 "$output" >&2
    die "Failed: $*
All of its output is in $output."
}

# Configures and builds in ./build: all of it, or the targets given.
build() {
    say "Building in $PWD/build"
    started=$(clock)
    mkdir -p build
    quietly build/configure.log cmake -S . -B build
    if [ $# -gt 0 ]; then set -- --target "$@"; fi
    quietly build/build.log cmake --build build -j "$(nproc)" "$@"
    say "  done in $(since "$started")"
}
