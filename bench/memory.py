"""Runs a full-size random model within smaller and smaller budgets of main memory, down to the
smallest that works: is every budget kept, is the predicted time right, is the picture the same
within rounding?  Prints a table in Markdown, and writes bench/memory/MODEL/results.json in the
build folder.

Rounding is one of 255 in float32.  In bfloat16, where other variants round otherwise in each step,
it is as much as bfloat16 itself moves the picture: its distance from that of the same weights in
float32."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import bench

GIB = bench.GIB
MOST_TIME_OFF = 0.25  # of the predicted, in either direction
FLOAT_ROUNDING = 1  # of 255
BUDGETS = {"sd21": [6, 4, 3, 2, 1.5], "sdxl": [16, 12, 8, 6, 4, 3]}  # GiB
SIZES = {"sd21": [512, 768], "sdxl": [1024]}  # pixels
FINEST = 16 * 2**20  # bytes to which the smallest budget is found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench memory", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    bench.add_model(parser)
    parser.add_argument("--budgets", type=float, nargs="+", help="GiB")
    parser.add_argument("--sizes", type=int, nargs="+", help="pixels")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="bf16")
    options = parser.parse_args()
    options.budgets = options.budgets or BUDGETS[options.model]
    options.sizes = options.sizes or SIZES[options.model]
    return options


def command(
    options: argparse.Namespace, verb: str, size: int, budget: int, dtype: str | None = None
) -> list[str]:
    settings = {
        "model": bench.weights(options, options.dtype),
        "prompt": bench.PROMPT,
        "width": size,
        "height": size,
        "steps": options.steps,
    }
    words = [str(options.build / "bin" / "emulsion"), verb]
    words.append(bench.MODELS[options.model].graph)
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    return [*words, "--dtype", dtype or options.dtype, "--device", f"cpu={budget}"]


def plan(options: argparse.Namespace, size: int, budget: int) -> dict | None:
    """None where nothing fits in the budget."""
    words = [*command(options, "plan", size, budget), "--json"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode == 4:
        return None
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def smallest_budget(options: argparse.Namespace, size: int, fits: int) -> int:
    too_small = 0
    while fits - too_small > FINEST:
        middle = (fits + too_small) // 2
        if plan(options, size, middle):
            fits = middle
        else:
            too_small = middle
    return fits


def run(options: argparse.Namespace, size: int, budget: int, folder: Path) -> dict:
    name = f"{size}_{budget // 2**20}"
    report, image = folder / f"{name}.json", folder / f"{name}.png"
    words = command(options, "run", size, budget)
    words += ["--quiet", "--out", f"image={image}", "--report", str(report)]
    process_peak = bench.run(words, folder / f"{name}.log")["peak_bytes"]
    told = json.loads(report.read_text())
    device = told["devices"][-1]
    return {
        "planned_peak_bytes": device["planned_peak_bytes"],
        "measured_peak_bytes": device["measured_peak_bytes"],
        "process_peak_bytes": process_peak,
        "seconds_per_step": told["denoise_seconds_per_step"],
        "seconds": told["seconds"],
        "predicted_seconds": told["predicted_seconds"],
        "variants": {step["node"]: step["variant"] for step in told["steps"]},
        "image": str(image),
    }


def float_picture(options: argparse.Namespace, size: int, folder: Path) -> str:
    image = folder / f"{size}_f32.png"
    words = command(options, "run", size, round(max(options.budgets) * GIB), "f32")
    bench.run([*words, "--quiet", "--out", f"image={image}"], image.with_suffix(".log"))
    return str(image)


def difference(image: str, other: str) -> int:
    """The largest of any channel of any pixel, of 255."""
    from PIL import Image, ImageChops  # so that --help needs nothing

    with Image.open(image) as a, Image.open(other) as b:
        extrema = ImageChops.difference(a.convert("RGB"), b.convert("RGB")).getextrema()
    return max(most for _, most in extrema)


def rounding(options: argparse.Namespace, size: int, folder: Path, rows: list[dict]) -> int:
    """How far pictures of one size may be from the first; measured where that is asked for."""
    farthest = max(row["difference"] for row in rows if not is_tiled(row))
    if options.dtype == "f32" or farthest <= FLOAT_ROUNDING:
        return FLOAT_ROUNDING
    print(f"{size} pixels in float32 ...", file=sys.stderr)
    return difference(rows[0]["image"], float_picture(options, size, folder))


def faults_of(row: dict) -> list[str]:
    faults = []
    if row["measured_peak_bytes"] > row["budget_bytes"]:
        faults.append("over the budget")
    if row["measured_peak_bytes"] > row["planned_peak_bytes"]:
        faults.append("over the plan")
    if abs(row["seconds"] / row["predicted_seconds"] - 1) > MOST_TIME_OFF:
        faults.append("not in the predicted time")
    if row["difference"] > row["rounding"] and not is_tiled(row):
        faults.append("another picture")
    return faults


def series(options: argparse.Namespace, size: int, folder: Path) -> list[dict]:
    """One size in all budgets, the largest first, then the smallest possible one.  A budget whose
    plan has the steps of the one before is not run again."""
    budgets = [round(budget * GIB) for budget in sorted(options.budgets, reverse=True)]
    budgets = [budget for budget in budgets if plan(options, size, budget)]
    if not budgets:
        sys.exit(f"bench memory: {size} pixels fit in none of the budgets")
    budgets.append(smallest_budget(options, size, budgets[-1]))
    rows: list[dict] = []
    steps = None
    for budget in budgets:
        planned = plan(options, size, budget)
        if planned["steps"] == steps:
            row = {**rows[-1], "again": True}
        else:
            print(f"{size} pixels within {budget / GIB:.2f} GiB ...", file=sys.stderr)
            row = {**run(options, size, budget, folder), "again": False}
            row["streamed_bytes"] = streamed_a_step(planned["steps"])
        steps = planned["steps"]
        row |= {"size": size, "budget_bytes": budget}
        row["difference"] = difference(row["image"], rows[0]["image"] if rows else row["image"])
        rows.append(row)
    most = rounding(options, size, folder, rows)
    for row in rows:
        row["rounding"] = most
        row["faults"] = faults_of(row)
    return rows


def streamed_a_step(steps: list[dict]) -> int:
    """Bytes of weights that come while the nodes of a loop run once."""
    loops = [step["steps"] for step in steps if step["do"] == "loop"]
    return sum(step.get("streamed_bytes", 0) for body in loops for step in body)


def is_tiled(row: dict) -> bool:
    """Tiles of random weights' decoders differ at their borders, where trained ones agree."""
    return any(variant.startswith("tiles") for variant in row["variants"].values())


def verdict(row: dict) -> str:
    if row["faults"]:
        return ", ".join(row["faults"])
    if row["again"]:
        return "same steps"
    if is_tiled(row):
        return "tiled decode"
    within = row["difference"] > FLOAT_ROUNDING
    return f"within bfloat16's {row['rounding']}" if within else ""


def table(rows: list[dict]) -> list[str]:
    lines = [
        "| pixels | budget | planned | measured | process | streamed a step | s a step | s in all "
        "| predicted | predicted/measured | difference | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        sizes = [row[f"{name}_bytes"] / GIB for name in ("budget", "planned_peak")]
        sizes += [row[f"{name}_bytes"] / GIB for name in ("measured_peak", "process_peak")]
        cells = [str(row["size"]), *(f"{size:.2f}" for size in sizes)]
        cells += [f"{row['streamed_bytes'] / GIB:.2f}", f"{row['seconds_per_step']:.2f}"]
        cells += [f"{row['seconds']:.1f}", f"{row['predicted_seconds']:.1f}"]
        cells += [f"{row['predicted_seconds'] / row['seconds']:.2f}", str(row["difference"])]
        lines.append("| " + " | ".join([*cells, verdict(row)]) + " |")
    return lines


def main() -> None:
    options = arguments()
    bench.make_model(options)
    folder = options.build / "bench" / "memory" / options.model
    folder.mkdir(parents=True, exist_ok=True)
    where = bench.machine()
    threads = os.environ.get("OMP_NUM_THREADS", where["cores"])
    print(f"{where['processor']}, {threads} threads, {options.dtype}, {options.steps} steps")
    rows = [row for size in options.sizes for row in series(options, size, folder)]
    lines = table(rows)
    print("\n".join(lines))
    results = {
        "machine": where,
        "model": options.model,
        "dtype": options.dtype,
        "steps": options.steps,
        "rows": rows,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    faults = sum(bool(row["faults"]) for row in rows)
    if faults:
        sys.exit(f"bench memory: {faults} of {len(rows)} rows do not hold")


if __name__ == "__main__":
    main()
