"""Compares Emulsion with diffusers on a full-size random model: alternately, each run in a process
of its own.  Prints a table with the ratios and writes bench/results.json in the build folder."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
BUNDLED = HERE.parent / "examples" / "models"
PROMPT = "a large red star on a blue background"
# What is measured, its unit, and the ratio that is to hold (none: for information).
ROWS = [
    ("step_seconds", "guided step", "s", 0.5),
    ("decode_seconds", "VAE decode", "s", 0.5),
    ("text_seconds", "text encoders", "s", 0.7),
    ("warm_seconds", "picture, loaded", "s", 0.5),
    ("cold_seconds", "picture, from the start", "s", 0.4),
    ("load_seconds", "load", "s", None),
    ("ready_seconds", "start until the first step", "s", 0.5),
    ("first_step_seconds", "start to its end", "s", 0.5),
    ("peak_bytes", "peak memory", "GiB", 0.6),
    ("device_peak_bytes", "peak memory on the device", "GiB", None),
]
GIB = 2**30


class Model(NamedTuple):
    """A model of full size, and how it is benched unless the command line says otherwise."""

    graph: str
    size: int  # of the square picture, in pixels
    dtypes: list[str]
    gigabytes: int  # on disk
    limits: dict[str, float]  # ratios that hold in place of those of ROWS


MODELS = {
    "sd21": Model("sd21_txt2img", 512, ["f32", "bf16"], 8, {}),
    "sdxl": Model("sdxl_txt2img", 1024, ["bf16"], 14, {"step_seconds": 0.55}),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    add_model(parser)
    parser.add_argument("--dtype", choices=["f32", "bf16"], action="append", help="default: both")
    parser.add_argument("--steps", type=int, default=5, help="the median leaves out the first")
    parser.add_argument("--size", type=int, help="of the square picture, in pixels")
    parser.add_argument("--repeat", type=int, default=2, help="times that each is run")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--start-only",
        action="store_true",
        help="diffusers only until its first step begins, for machines on which that takes hours",
    )
    options = parser.parse_args()
    model = MODELS[options.model]
    options.dtype = options.dtype or model.dtypes
    options.size = options.size or model.size
    return options


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", choices=MODELS, default="sd21", help="sdxl is one mapped file, in bf16 alone"
    )


def weights(options: argparse.Namespace, dtype: str) -> Path:
    """Of the model of the options: a folder, or a single file with the model's folders beside."""
    folder = options.build / "bench" / options.model / dtype
    return folder / "sdxl.safetensors" if options.model == "sdxl" else folder


def run(command: list, log: Path) -> dict:
    """Runs to the end; gives the process's seconds, and its peak of resident memory in bytes."""
    start = time.time()
    environment = {**os.environ, "BENCH_START": repr(start)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
        sys.exit(f"bench: '{command[0]}' ended with {process.returncode}; its output is in {log}")
    return {"cold_seconds": time.time() - start, "peak_bytes": usage.ru_maxrss * 1024}


def emulsion(options: argparse.Namespace, dtype: str, folder: Path) -> dict:
    report = folder / "emulsion.json"
    settings = {
        "model": weights(options, dtype),
        "prompt": PROMPT,
        "width": options.size,
        "height": options.size,
        "steps": options.steps,
    }
    command = [options.build / "bin" / "emulsion", "run", MODELS[options.model].graph]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    command += ["--dtype", dtype, "--device", options.device, "--quiet"]
    command += ["--out", f"image={folder / 'emulsion.png'}", "--report", report]
    whole = run(command, folder / "emulsion.log")
    told = json.loads(report.read_text())

    def seconds_of(part: str) -> float:
        return sum(step["seconds"] for step in told["steps"] if part in step["node"])

    measured = whole | {
        "step_seconds": told["denoise_seconds_per_step"],
        "decode_seconds": seconds_of("decode"),
        "text_seconds": seconds_of("encode"),
        "load_seconds": told["load_seconds"],
        "ready_seconds": told["ready_seconds"],
        "first_step_seconds": told["first_step_seconds"],
    }
    if options.device != "cpu":
        peaks = [d["measured_peak_bytes"] for d in told["devices"] if d["name"] != "cpu"]
        measured["device_peak_bytes"] = max(peaks)
    return with_loaded(options, measured)


def diffusers(options: argparse.Namespace, dtype: str, layout: str, folder: Path) -> dict:
    out = folder / f"diffusers_{layout}.json"
    command = [sys.executable, HERE / "diffusers_run.py", "--dtype", dtype, "--layout", layout]
    command += ["--model", weights(options, dtype), "--prompt", PROMPT]
    command += ["--steps", 0 if options.start_only else options.steps, "--size", options.size]
    command += ["--device", options.device, "--out", out]
    whole = run(command, out.with_suffix(".log"))
    measured = whole | json.loads(out.read_text())
    return measured if options.start_only else with_loaded(options, measured)


def with_loaded(options: argparse.Namespace, measured: dict) -> dict:
    """Adds what the picture takes where all is loaded and has run once: its stages' seconds."""
    stages = measured["text_seconds"] + measured["decode_seconds"]
    return measured | {"warm_seconds": stages + options.steps * measured["step_seconds"]}


def median(runs: list[dict]) -> dict:
    names = [name for name, *_ in ROWS if name in runs[0]]
    return {name: statistics.median(run[name] for run in runs) for name in names}


def compare(options: argparse.Namespace, dtype: str) -> dict:
    """All runs of one type; of diffusers' two layouts the one with the faster step counts."""
    folder = options.build / "bench" / "runs" / options.model / dtype
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[dict]] = {"emulsion": [], "contiguous": [], "channels_last": []}
    for turn in range(options.repeat):
        for layout in ("contiguous", "channels_last"):
            print(f"{dtype}, {turn + 1} of {options.repeat}: emulsion, {layout}", file=sys.stderr)
            runs["emulsion"].append(emulsion(options, dtype, folder))
            runs[layout].append(diffusers(options, dtype, layout, folder))
    medians = {name: median(of_one) for name, of_one in runs.items()}
    fastest = "ready_seconds" if options.start_only else "step_seconds"
    best = min(("contiguous", "channels_last"), key=lambda name: medians[name][fastest])
    ours, theirs = medians["emulsion"], medians[best]
    # A process that ended early has no peak to compare.
    names = [
        name for name in ours if name in theirs and not (options.start_only and "peak" in name)
    ]
    ratios = {name: ours[name] / theirs[name] for name in names}
    return {"runs": runs, "medians": medians, "diffusers_layout": best, "ratios": ratios}


def table(model: str, dtype: str, result: dict) -> list[str]:
    ours, theirs = result["medians"]["emulsion"], result["medians"][result["diffusers_layout"]]
    lines = [
        f"{dtype}, diffusers {result['diffusers_layout']}",
        f"  {'':26} {'emulsion':>10} {'diffusers':>10} {'ratio':>7}",
    ]
    for name, label, unit, limit in ROWS:
        if name not in result["ratios"]:
            continue
        limit = MODELS[model].limits.get(name, limit)
        scale = GIB if unit == "GiB" else 1
        ratio = result["ratios"][name]
        verdict = "" if limit is None else f"  {'holds' if ratio <= limit else 'OVER'} {limit}"
        values = f"{ours[name] / scale:10.3f} {theirs[name] / scale:10.3f}"
        lines.append(f"  {label + ', ' + unit:26} {values} {ratio:7.3f}{verdict}")
    return lines


def machine() -> dict:
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    packages = ("torch", "diffusers", "transformers")
    return {
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: version(name) for name in packages},
    }


def make_model(options: argparse.Namespace) -> None:
    name, model = options.model, MODELS[options.model]
    target = options.build / "bench" / name
    if not (target / "complete").exists():
        print(f"Making the weights ({model.gigabytes} GB, once) ...", file=sys.stderr)
        target.parent.mkdir(parents=True, exist_ok=True)
        make = [sys.executable, HERE / "make_weights.py", name, BUNDLED / f"tiny-{name}", target]
        run([*make, *model.dtypes], target.parent / "make.log")
    for dtype in model.dtypes:
        file = weights(options, dtype)
        if not file.exists():
            convert = [options.build / "bin" / "emulsion", "models", "convert", file.parent, file]
            run(convert, target.parent / "convert.log")


def main() -> None:
    options = arguments()
    make_model(options)
    where = machine()
    print(f"{where['processor']}, {where['cores']} cores, {options.device}, {options.size} pixels")
    results = {
        "machine": where,
        "model": options.model,
        "size": options.size,
        "steps": options.steps,
    }
    results |= {"device": options.device, "dtypes": {}}
    for dtype in options.dtype:
        results["dtypes"][dtype] = compare(options, dtype)
        print("\n".join(table(options.model, dtype, results["dtypes"][dtype])), flush=True)
    path = options.build / "bench" / "results.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"Written: {path}")


if __name__ == "__main__":
    main()
