#!/usr/bin/env bash
# Prints the folder of Vulkan headers to compile whisper.cpp's Vulkan kernels with: vulkan.sh CACHE
# Debian 12's are older than they need (VK_EXT_layer_settings); then those of Debian 13 are fetched, by digest. The loader
# and the drivers stay the machine's own. VULKAN_SDK names another place with headers and `glslc`.
set -euo pipefail

cache=$1
needed=272  # VK_HEADER_VERSION of 1.3 with VK_EXT_layer_settings
deb=pool/main/v/vulkan-loader/libvulkan-dev_1.4.309.0-1_amd64.deb
sha256=8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a
mirrors=(http://deb.debian.org/debian http://snapshot.debian.org/archive/debian/20250901T000000Z)
headers=$cache/vulkan-headers-1.4.309

if [[ -n ${VULKAN_SDK:-} ]]; then
  echo "$VULKAN_SDK/include"
  exit
fi
"$(dirname "$0")/deps.sh" glslc:glslc curl:curl libvulkan-dev
core=/usr/include/vulkan/vulkan_core.h
if [[ ! -f $core ]]; then
  echo "error: no Vulkan headers at $core" >&2
  echo "hint: install the package with Vulkan's headers and loader, or set VULKAN_SDK to the folder of LunarG's SDK" >&2
  exit 1
fi
version=$(sed -n 's/^#define VK_HEADER_VERSION \([0-9]*\)$/\1/p' "$core")
minor=$(sed -n 's/^#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, 1, \([0-9]*\).*/\1/p' "$core")
if ((minor > 3 || version >= needed)); then
  echo /usr/include
  exit
fi
if [[ ! -d $headers ]]; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/vulkan.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  for mirror in "${mirrors[@]}"; do
    curl --fail --silent --show-error --retry 2 --connect-timeout 20 -o "$work/headers.deb" "$mirror/$deb" && break
  done
  echo "$sha256  $work/headers.deb" | sha256sum --check --quiet >&2
  dpkg-deb --extract "$work/headers.deb" "$work/tree"
  # Renamed in one step, so that what is there is whole.
  mv --no-target-directory "$work/tree/usr/include" "$headers"
fi
echo "$headers"
