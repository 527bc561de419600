"""Rules of this tree that no compiler knows.  Prints one line per fault, and exits with 1 if there
is any.  Each rule is a function: (path relative to the root, text) or (root, paths) -> faults."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from include_rules import check_includes
from sources import sources

MAX_LINES = 400
CODE = {".cpp", ".h", ".py", ".sh", ".cmake", ".in"}
TEXT = CODE | {".md", ".txt", ".json", ".yml", ".toml", ""}

# In brackets, so that this file passes its own rule.
OPEN_NOTE = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b(?!\(#\d+\)| #\d+)")
# A path of one machine: a home, a scratch or a work folder.
MACHINE_PATH = re.compile(r"(?<![\w.$}\])*-])/(home|root|tmp|work|workspace|mnt|srv|Users)/[\w.]+")
MARKDOWN_NAME = re.compile(r"(?<![\w/:.*-])((?:[\w.-]+/)+[\w-]+\.md)\b")
NODE_ID = re.compile(r"[a-z][a-z0-9_]*")


def is_code(path: Path) -> bool:
    return path.suffix in CODE or path.name in {"dev", "run", "CMakeLists.txt"}


def check_length(path: Path, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if is_code(path) and lines > MAX_LINES:
        yield f"{path}: expected at most {MAX_LINES} lines, got {lines}; split it by phase"


def check_lines(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{path}:{number}"
        if OPEN_NOTE.search(line):
            yield f"{place}: expected an issue's number after an open note, got none"
        if found := MACHINE_PATH.search(line):
            yield f"{place}: expected no path of one machine, got '{found[0]}'"
        if is_code(path) and line != line.rstrip():
            yield f"{place}: expected no space at the end of the line"


def check_named_pages(path: Path, text: str, root: Path) -> Iterator[str]:
    """A page that is named must be in the tree, seen from the file's folder or one above it."""
    for number, line in enumerate(text.split("\n"), 1):
        for found in MARKDOWN_NAME.finditer(line):
            name = found[1]
            if not any((root / base / name).exists() for base in path.parents):
                yield f"{path}:{number}: expected '{name}' to be in the tree, got nothing there"


def check_nodes(root: Path) -> Iterator[str]:
    """nodes/<id>/ holds <id>.cpp and a list, and tests/nodes/<id>_test.cpp mirrors it."""
    for folder in sorted((root / "nodes").glob("*/")):
        node = folder.name
        if node in {"kernels", "models"} or not any(folder.iterdir()):
            continue
        wanted = [f"nodes/{node}/CMakeLists.txt", f"nodes/{node}/{node}.cpp"]
        for name in [*wanted, f"tests/nodes/{node}_test.cpp"]:
            if not (root / name).is_file():
                yield f"nodes/{node}: expected {name}, got none"
        if not NODE_ID.fullmatch(node):
            yield f"nodes/{node}: expected a name of small letters, digits and '_'"


def check_python(path: Path, text: str) -> Iterator[str]:
    try:
        compile(text, str(path), "exec")
    except SyntaxError as error:
        yield f"{path}:{error.lineno}: expected Python, got: {error.msg}"


def check_file(root: Path, path: Path) -> Iterator[str]:
    full = root / path
    if path.suffix not in TEXT or full.stat().st_size > 1_000_000:
        return
    try:
        text = full.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield f"{path}: expected UTF-8 text, got other bytes"
        return
    yield from check_length(path, text)
    made_up = path.parts[:2] == ("tests", "lint")  # its texts are broken on purpose
    if path.suffix != ".json" and not made_up:
        yield from check_lines(path, text)
        yield from check_named_pages(path, text, root)
    if path.suffix == ".py":
        yield from check_python(path, text)
    if path.suffix in {".cpp", ".h"}:
        yield from check_includes(root, path, text)


def lint(root: Path, files: Iterable[Path] | None = None) -> list[str]:
    paths = [path.relative_to(root) for path in (sources(root) if files is None else files)]
    faults = [fault for path in paths for fault in check_file(root, path)]
    return faults + list(check_nodes(root))


def main() -> int:
    faults = lint(Path(sys.argv[1]).resolve())
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
