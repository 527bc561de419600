"""Prints what each stage of a run took, beside what was predicted."""

import json
import sys
from pathlib import Path

MIB = 2**20


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    steps = [step for step in report["steps"] if step["seconds"] >= 0.0005]
    width = max([len("everything"), *(len(step["node"]) for step in steps)])
    print(f"  {'':<{width}}  {'seconds':>8}  {'predicted':>9}  {'peak MiB':>8}  {'planned':>8}")
    for step in steps:
        times = f" x{step['iterations']}" if step["iterations"] != 1 else ""
        peaks = (
            f"{step['measured_peak_bytes'] / MIB:8.1f}  {step['estimated_peak_bytes'] / MIB:8.1f}"
        )
        seconds = f"{step['seconds']:8.3f}  {step['predicted_seconds']:9.3f}"
        print(f"  {step['node']:<{width}}  {seconds}  {peaks}{times}")
    print(f"  {'(load)':<{width}}  {report['load_seconds']:8.3f}")
    print(
        f"  {'everything':<{width}}  {report['seconds']:8.3f}  {report['predicted_seconds']:9.3f}"
    )


if __name__ == "__main__":
    main()
