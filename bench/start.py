"""Measures how long it takes from the start of a process to a validated plan, with models of full
size of which only the headers are there, and a warm page cache.  Beside it the same plan with
LibTorch loaded before, which is what a program that links it pays, and the shortest command.
Prints a table in Markdown."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "golden"))
import full_size  # noqa: E402

LIMIT = 0.150  # seconds to a plan
GRAPHS = {"sd21_txt2img": "sd21", "sdxl_txt2img": "sdxl"}  # with the model of full_size


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench start", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=20, help="of each command, in turn")
    return parser.parse_args()


def commands(build: Path) -> dict[str, tuple[list, dict]]:
    """Name -> command and what it finds in its environment besides."""
    emulsion = build / "bin" / "emulsion"
    rows = {"list the nodes": ([emulsion, "nodes"], {})}
    for graph, name in GRAPHS.items():
        model = build / "bench" / "headers" / name
        if not model.exists():
            full_size.make(name, model)
        plan = [emulsion, "plan", graph, "--set", f"model={model}"]
        rows[f"plan {graph}"] = (plan, {})
        torch = build / "lib" / "libtorch_cpu.so"
        if torch.exists():
            rows[f"plan {graph}, LibTorch loaded first"] = (plan, {"LD_PRELOAD": str(torch)})
    return rows


def measure(command: list, added: dict) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    speeds = {"EMULSION_SPEEDS": str(HERE.parent / "tests" / "golden" / "speeds.json")}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, **speeds, **added}
    )
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench: '{' '.join(map(str, command))}' ended with {process.returncode}")
    return taken, usage.ru_utime + usage.ru_stime


def main() -> None:
    options = arguments()
    rows = commands(options.build)
    taken = {name: [] for name in rows}
    for turn in range(options.runs + 1):
        for name, (command, added) in rows.items():
            times = measure(command, added)
            if turn > 0:  # the first fills the page cache
                taken[name].append(times)
    print("| ms | least | median | processor, least | |\n|---|---|---|---|---|")
    for name, times in taken.items():
        clock, processor = zip(*times, strict=True)
        best = min(clock)
        is_plan = name.startswith("plan") and not rows[name][1]
        verdict = ("holds" if best <= LIMIT else "OVER") + f" {1000 * LIMIT:.0f}" if is_plan else ""
        figures = (best, statistics.median(clock), min(processor))
        print("|", name, *(f"| {1000 * figure:.0f}" for figure in figures), "|", verdict, "|")


if __name__ == "__main__":
    main()
