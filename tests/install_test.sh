#!/usr/bin/env bash
# Installs the build tree, moves what was installed, builds
# examples/custom_node against it outside of the source tree, and runs graphs with it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${EMULSION_TEST_BUILD:?names the build tree}
if [[ ! -x $build/bin/emulsion ]]; then
  echo "skipped: $build/bin/emulsion has not been built"
  exit 77
fi
space=$(mktemp -d)
trap 'rm -rf "$space"' EXIT
cd "$space"

fault() { echo "install_test: $*" >&2; exit 1; }
expect_file() { [[ -e $1 ]] || fault "expected $1, got none"; }

# A place with a space in its name, and then another one: nothing may remember the first.
cmake --install "$build" --prefix "$space/first place" >install.log || fault "$(tail install.log)"
mv "$space/first place" "$space/second"
tree=$space/second
for part in bin/emulsion bin/emulsion-describe lib/libemulsion.so lib/libemulsion_plugin_api.so \
  lib/emulsion/nodes/vae_decode.so lib/emulsion/nodes/vae_decode.emulsion.json \
  share/emulsion/graphs/sd21_txt2img.json share/emulsion/models/tiny-sd21/model_index.json \
  include/emulsion/node.h include/emulsion/session.h lib/cmake/Emulsion/EmulsionConfig.cmake; do
  expect_file "$tree/$part"
done

# Installing changes no bytes: a manifest or a signature of a library stays true.
cmp "$build/bin/emulsion" "$tree/bin/emulsion"
cmp "$build/lib/emulsion/nodes/vae_decode.so" "$tree/lib/emulsion/nodes/vae_decode.so"
# The hint at LibTorch, which may be in the build tree, is the one exception.
if grep -r -e "$root" -e "$build" "$tree/lib/cmake" "$tree/include" | grep -v TORCH_HINT; then
  fault "expected no path of the build in the package's files, got the above"
fi

# The empty environment: what is needed is in the tree.
run() { env -i PATH=/usr/bin:/bin HOME="$space" "$tree/bin/emulsion" "$@"; }
run nodes >nodes.txt
grep -q vae_decode nodes.txt || fault "expected 'emulsion nodes' to list vae_decode: $(<nodes.txt)"
has_images=""
if [[ -e $tree/lib/emulsion/nodes/image_write.so ]]; then
  has_images=yes
  run run sd21_txt2img --set steps=2 --out image=first.png --quiet
  expect_file first.png
fi

cp -r "$root/examples/custom_node" source
cmake -S source -B custom -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$tree" \
  >configure.log 2>&1 || fault "$(tail -n 20 configure.log)"
cmake --build custom >build.log 2>&1 || fault "$(tail -n 20 build.log)"
expect_file custom/vignette/vignette.so
expect_file custom/vignette/vignette.emulsion.json
run nodes vignette --plugins custom/vignette >node.txt
grep -q "Darkens an image" node.txt || fault "expected the node's help, got: $(<node.txt)"
if [[ ! $has_images ]]; then
  echo "install_test: passed, but for pictures: this build has no image nodes"
  exit 0
fi
run run source/vignette.json --plugins custom/vignette --set image=first.png --set strength=3 \
  --out image=darker.png --quiet
expect_file darker.png
cmp -s first.png darker.png && fault "expected a darker picture, got the same"
echo "install_test: passed"
