"""Prints the seconds per stage of a run's report."""

import json
import sys
from pathlib import Path


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    steps = [step for step in report["steps"] if step["seconds"] >= 0.0005]
    width = max([len("everything"), *(len(step["node"]) for step in steps)])
    for step in steps:
        times = f" x{step['iterations']}" if step.get("iterations", 1) != 1 else ""
        print(f"  {step['node']:<{width}}  {step['seconds']:8.3f}{times}")
    if "load_seconds" in report:
        print(f"  {'(load)':<{width}}  {report['load_seconds']:8.3f}")
    print(f"  {'everything':<{width}}  {report['seconds']:8.3f}")


if __name__ == "__main__":
    main()
