"""Runs clang-tidy over the sources of a configured build tree, several at a time."""

import argparse
import json
import re
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


# The start of a finding; what follows, up to the next, belongs to it.
FINDING = re.compile(r"^(?=\S+:\d+:\d+: (?:warning|error): )", re.MULTILINE)

# clang 14 gives the constraints of the standard library a parameter of this name and no place.
NOWHERE = re.compile(r"^error: .*'expr-type' \[readability-identifier-naming.*\n", re.MULTILINE)


def tidy(build: Path, file: Path) -> tuple[list[str], bool]:
    """What was found in a file, and whether clang 14 could read all of it: parts of C++20 that gcc
    12 knows (views, captured bindings) are errors to it, and say nothing of the code; neither do
    parameters that are used in what it could not read, of which gcc tells."""
    command = ["clang-tidy-14", "-quiet", "-p", str(build), str(file)]
    command += ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-unknown-pragmas"]
    done = subprocess.run(command, capture_output=True, text=True)
    told = NOWHERE.sub("", done.stdout)
    findings = [text for text in FINDING.split(told) if FINDING.match(text)]
    ours = [text for text in findings if "[clang-diagnostic-error]" not in text]
    if done.returncode != 0 and not findings and told.strip():
        ours = [told + done.stderr]
    complete = len(ours) == len(findings)
    if not complete:
        ours = [text for text in ours if "[misc-unused-parameters" not in text]
    return ours, complete


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
    shown: set[str] = set()  # a header's findings come with each file that includes it
    with ThreadPoolExecutor(options.jobs) as pool:
        results = zip(files, pool.map(lambda file: tidy(build, file), files), strict=True)
        for number, (file, (findings, complete)) in enumerate(results, 1):
            note = "" if complete else "  (clang 14 cannot read all of it)"
            print(f"[{number}/{len(files)}] {file.relative_to(ROOT)}{note}", file=sys.stderr)
            for text in findings:
                if text not in shown:
                    print(text, end="", flush=True)
                shown.add(text)
    return 1 if shown else 0


if __name__ == "__main__":
    sys.exit(main())
