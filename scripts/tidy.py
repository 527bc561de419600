"""Runs clang-tidy over the sources of a configured build tree, several at a time."""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Broken on purpose: the plug-ins that the registry must refuse.
SKIPPED = (ROOT / "tests" / "broken_plugins",)


def compiled_sources(build: Path) -> list[Path]:
    entries = json.loads((build / "compile_commands.json").read_text())
    files = {Path(entry["file"]).resolve() for entry in entries}
    return sorted(
        file
        for file in files
        if file.is_relative_to(ROOT)
        and not file.is_relative_to(build)
        and not any(file.is_relative_to(folder) for folder in SKIPPED)
    )


def tidy(build: Path, file: Path) -> str:
    command = ["clang-tidy-14", "-quiet", "-p", str(build), str(file)]
    # gcc's switches, and pragmas of LibTorch's headers that clang does not know
    command += ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-unknown-pragmas"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    return done.stdout or done.stderr


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*", help="only these; parts of names will do")
    options = parser.parse_intermixed_args()
    build = options.build.resolve()
    files = compiled_sources(build)
    if options.files:
        files = [file for file in files if any(part in str(file) for part in options.files)]
    if not files:
        print("tidy: expected sources to look at, got none", file=sys.stderr)
        return 1
    faults = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for number, text in enumerate(pool.map(lambda file: tidy(build, file), files), 1):
            faults += bool(text)
            print(f"[{number}/{len(files)}] {files[number - 1].relative_to(ROOT)}", file=sys.stderr)
            if text:
                print(text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
