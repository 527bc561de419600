"""Who may include whom.  The layers below are the whole truth: a folder that is not listed is a
fault, so that a new layer says where it stands."""

import re
from collections.abc import Iterator
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

# They cost 5 to 15 seconds a file, or bring in what LibTorch's per-operator headers replace.
BANNED = {
    "torch/torch.h",
    "torch/nn.h",
    "torch/all.h",
    "torch/types.h",
    "torch/script.h",
    "torch/extension.h",
    "ATen/ATen.h",
    "ATen/Functions.h",
}
# Slow, and needed where the work is done only.
BANNED_IN_HEADERS = {"OpenImageIO/imageio.h", "boost/dll/shared_library.hpp", "CLI/CLI.hpp"}

# How each part is spelled in an include: the folder that the name starts from, and what follows.
PARTS = {
    "api": ("plugin_api", "emulsion/"),
    "kernels": ("nodes", "kernels/"),
    "models": ("nodes", "models/"),
    "host_api": ("runtime/include", "emulsion/"),
    "graph": ("runtime", "graph/"),
    "plan": ("runtime", "plan/"),
    "memory": ("runtime", "memory/"),
    "weights": ("runtime", "weights/"),
    "hub": ("runtime", "hub/"),
    "plugins": ("runtime", "plugins/"),
    "exec": ("runtime", "exec/"),
    "session": ("runtime", "session/"),
}
# What each folder may include besides files of its own folder; the first match counts.
LAYERS = [
    ("plugin_api/", {"api"}),
    ("nodes/kernels/", {"api", "kernels"}),
    ("nodes/models/", {"api", "kernels", "models"}),
    ("nodes/", {"api", "models"}),
    ("runtime/include/", {"api", "host_api"}),
    ("runtime/graph/", {"api", "graph"}),
    ("runtime/plan/", {"api", "graph", "plan"}),
    ("runtime/memory/", {"api", "memory"}),
    ("runtime/weights/", {"api", "memory", "weights"}),
    ("runtime/hub/", {"api", "weights", "hub"}),
    ("runtime/plugins/", {"api", "graph", "plugins"}),
    (
        "runtime/exec/",
        set(PARTS) - {"models", "session"},
    ),
    ("runtime/session/", set(PARTS) - {"kernels", "models"}),
    ("runtime/hosts/", {"api", "host_api"}),
    ("examples/", {"api", "host_api"}),
    ("tests/", set(PARTS)),
]
# What is for nodes only: neither the maths nor a host speaks of ports and runs.
NODE_SIDE = {f"emulsion/{name}.h" for name in ("node", "run_context", "plugin")}
NO_TENSORS = ("runtime/graph/", "runtime/plan/")


def allowed_parts(path: Path) -> set[str] | None:
    for prefix, parts in LAYERS:
        if path.as_posix().startswith(prefix):
            return parts
    return None


def owner(root: Path, path: Path, name: str) -> str | None:
    """The part that an include belongs to, "own" for the folder's own, None if it is absent."""
    if (root / path.parent / name).is_file() and "/" not in name:
        return "own"
    for part, (start, prefix) in PARTS.items():
        if name.startswith(prefix) and (root / start / name).is_file():
            return part
    # A host, an example or a test may have folders of its own.
    for parent in path.parents:
        if parent.parts[:1] in (("tests",), ("examples",)) or parent.parts[:2] == (
            "runtime",
            "hosts",
        ):
            if (root / parent / name).is_file():
                return "own"
    return None


def check_ours(root: Path, path: Path, name: str, place: str) -> Iterator[str]:
    parts = allowed_parts(path)
    if parts is None:
        yield f"{place}: expected the folder to be a layer of scripts/include_rules.py, got none"
        return
    part = owner(root, path, name)
    if part is None:
        yield f'{place}: expected "{name}" in the tree, got none; libraries\' headers take <>'
    elif part != "own" and part not in parts:
        yield f'{place}: expected a header of {", ".join(sorted(parts))}, got "{name}" of {part}'
    here = path.as_posix()
    is_math = here.startswith("nodes/models/") and path.name != "ops.h"
    if name in NODE_SIDE and (is_math or here.startswith("runtime/hosts/")):
        yield f'{place}: expected nothing that only nodes use, got "{name}"'


def check_theirs(path: Path, name: str, place: str) -> Iterator[str]:
    here = path.as_posix()
    if name in BANNED:
        yield f"{place}: expected headers per operator (<ATen/ops/silu.h>), got <{name}>"
    if path.suffix == ".h" and name in BANNED_IN_HEADERS:
        yield f"{place}: expected <{name}> in a .cpp only, got it in a header"
    if here.startswith(NO_TENSORS) and name.startswith(("ATen/", "torch/")):
        yield f"{place}: expected no tensors in graph and plan, got <{name}>"
    if here.startswith("plugin_api/emulsion/") and name.startswith("ATen/"):
        if name != "ATen/core/Tensor.h":
            yield f"{place}: expected <ATen/core/Tensor.h> alone in a public header, got <{name}>"
    if name.startswith(tuple(prefix for _, prefix in PARTS.values())):
        yield f'{place}: expected "" around our own header, got <{name}>'


def check_includes(root: Path, path: Path, text: str) -> Iterator[str]:
    for found in INCLUDE.finditer(text):
        place = f"{path}:{text.count(chr(10), 0, found.start(2)) + 1}"
        name = found[2]
        if name.endswith(".cpp"):
            yield f'{place}: expected a header, got "{name}"'
        elif found[1] == "<":
            yield from check_theirs(path, name, place)
        elif name in BANNED:
            yield from check_theirs(path, name, place)
        else:
            yield from check_ours(root, path, name, place)
