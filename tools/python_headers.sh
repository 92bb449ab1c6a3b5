# shellcheck shell=bash
# Sourced with a python: sets PYTHON_HEADER_OPTIONS for CMake. An interpreter without its C headers (Debian splits them
# into another package) gets them from that package, unpacked under build/: no root is needed and nothing is installed.
PYTHON_HEADER_OPTIONS=()
if ! "$1" -c 'import pathlib, sysconfig as s, sys; sys.exit(not pathlib.Path(s.get_path("include"), "Python.h").exists())'; then
  name=$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  headers=$PWD/build/headers-$name
  if [ ! -f "$headers/usr/include/$name/Python.h" ]; then
    echo "fetching the C headers of $name (package lib$name-dev)"
    rm -rf "$headers" && mkdir -p "$headers/apt/lists/partial" "$headers/apt/cache/archives/partial"
    (
      cd "$headers"
      apt=(apt-get -qq -o Dir::State::Lists="$headers/apt/lists" -o Dir::Cache="$headers/apt/cache" -o APT::Sandbox::User=)
      "${apt[@]}" update && "${apt[@]}" download "lib$name-dev" && dpkg-deb -x lib"$name"-dev_*.deb "$headers"
    ) 2> build/headers.log || {
      cat build/headers.log >&2
      echo "Tallow needs the C headers of $name. On Debian or Ubuntu: apt-get install python3-dev" >&2
      exit 1
    }
    rm -rf "$headers"/apt "$headers"/*.deb
  fi
  PYTHON_HEADER_OPTIONS=("-DPython_INCLUDE_DIR=$headers/usr/include/$name" "-DCMAKE_CXX_FLAGS=-I$headers/usr/include")
fi
