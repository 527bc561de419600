"""The text files of this tree.  `sources.py .cpp .h` lists those that end so, `sources.py shell`
the shell scripts."""

import os
import subprocess
import sys
from pathlib import Path

SKIPPED_FOLDERS = {".git", "__pycache__", ".cache", "venv", "out"}


def is_built(folder: Path) -> bool:
    return folder.name == "build" or folder.name.startswith("build-")


def walk(root: Path):
    for folder, names, files in os.walk(root):
        here = Path(folder)
        names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS and not is_built(here / n))
        yield from (here / name for name in sorted(files))


def sources(root: Path) -> list[Path]:
    """All files that are, or would be, under version control."""
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):  # no git, or a tree without history
        return list(walk(root))
    paths = {root / name for name in listed.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def is_shell(path: Path) -> bool:
    if path.suffix == ".sh":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and first.rstrip().endswith((b"sh", b"bash"))


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    endings = tuple(a for a in sys.argv[1:] if a != "shell")
    for path in sources(root):
        shell = "shell" in sys.argv[1:] and is_shell(path)
        if shell or (endings and path.name.endswith(endings)):
            print(path.relative_to(root))


if __name__ == "__main__":
    main()
