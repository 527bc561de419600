"""What leaving evaluations out costs in quality: draws pictures with the bundled trained models,
with each shortcut at several strengths, and compares them with those of the same seeds without.
Prints a table in Markdown, and leaves the pictures in bench/quality in the build folder."""

import argparse
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import bench

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "golden"))
import full_size  # noqa: E402

GRAPHS = {"tiny-sd21": "sd21_txt2img", "tiny-sdxl": "sdxl_txt2img"}
PROMPTS = [
    "a large red star on a blue background",
    "a small green circle on a white background",
    "a large yellow triangle on a purple background",
    "a small orange square on a black background",
]
SHORTCUTS: list[dict[str, float]] = [
    {},
    {"guidance_begin": 0.1, "guidance_end": 0.8},
    {"guidance_begin": 0.2, "guidance_end": 0.6},
    {"cache_interval": 2},
    {"cache_interval": 3},
    {"cache_interval": 5},
    {"cache_interval": 3, "cache_branch": 2},
    {"skip_threshold": 0.05},
    {"skip_threshold": 0.1},
    {"merge_ratio": 0.25},
    {"merge_ratio": 0.5},
    {"cache_interval": 2, "guidance_begin": 0.1, "guidance_end": 0.8},
]
WHOLE = re.compile(r"(\d+) of (\d+) evaluations")


class Picture(NamedTuple):
    file: Path
    seconds: float  # in the UNet
    whole: float  # the share of evaluations that were whole


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench quality", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=GRAPHS, action="append", help="default: both")
    parser.add_argument("--pictures", type=int, default=4, help="of each model and strength")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    options.model = options.model or list(GRAPHS)
    return options


def name_of(shortcut: dict[str, float]) -> str:
    return " ".join(f"{name}={value}" for name, value in shortcut.items()) or "none"


def draw(
    options: argparse.Namespace, model: str, shortcut: dict[str, float], number: int, folder: Path
) -> Picture:
    stem = f"{model}_{name_of(shortcut).replace(' ', '_')}_{number}"
    file, report = folder / f"{stem}.png", folder / f"{stem}.json"
    settings = {
        "model": model,
        "prompt": PROMPTS[number % len(PROMPTS)],
        "seed": number,
        "steps": options.steps,
        **shortcut,
    }
    command = [options.build / "bin" / "emulsion", "run", GRAPHS[model], "--quiet"]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    command += ["--dtype", "f32", "--out", f"image={file}", "--report", report]
    bench.run(command, folder / "log.txt")
    step = next(s for s in json.loads(report.read_text())["steps"] if s["node"] == "denoise.unet")
    told = WHOLE.search(" ".join(step["notes"]))
    return Picture(file, step["seconds"], int(told[1]) / int(told[2]) if told else 1.0)


def predicted_seconds(
    options: argparse.Namespace, shortcut: dict[str, float], model: Path
) -> float:
    """Of all steps of SD 2.1 at its full size, 512x512."""
    command = [options.build / "bin" / "emulsion", "plan", "sd21_txt2img", "--json"]
    command += ["--dtype", "bf16", "--device", "cpu=32GiB"]
    settings = {"model": model, "width": 512, "height": 512, "steps": options.steps, **shortcut}
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    loops = [step for step in json.loads(done.stdout)["steps"] if step["do"] == "loop"]
    return sum(step["predicted_seconds"] for step in loops[0]["steps"] if step["do"] == "run")


def difference(file: Path, other: Path) -> tuple[float, float]:
    """PSNR in dB, and the mean absolute difference of 255."""
    from PIL import Image, ImageChops, ImageStat  # so that --help needs nothing

    with Image.open(file) as a, Image.open(other) as b:
        statistics = ImageStat.Stat(ImageChops.difference(a.convert("RGB"), b.convert("RGB")))
    square = sum(rms**2 for rms in statistics.rms) / 3
    psnr = 10 * math.log10(255**2 / square) if square else math.inf
    return psnr, sum(statistics.mean) / 3


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def row(name: str, pictures: list[Picture], full: list[Picture], predicted: float | None) -> str:
    differences = [difference(a.file, b.file) for a, b in zip(pictures, full, strict=True)]
    psnr = [psnr for psnr, _ in differences]
    time = sum(p.seconds for p in pictures) / sum(p.seconds for p in full)
    cells = [f"{mean([p.whole for p in pictures]):.0%}", f"{time:.2f}"]
    cells += ["" if predicted is None else f"{predicted:.2f}"]
    cells += [f"{mean(psnr):.1f}", f"{min(psnr):.1f}", f"{mean([d for _, d in differences]):.2f}"]
    return "| " + " | ".join([name, *cells]) + " |"


def main() -> None:
    options = arguments()
    folder = options.build / "bench" / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    full_model = options.build / "bench" / "headers" / "sd21"
    if not full_model.exists():
        full_size.make("sd21", full_model)
    lines = [
        "| shortcut | whole evaluations | time | predicted, SD 2.1 | PSNR, dB | the least "
        "| mean difference |",
        "|---|---|---|---|---|---|---|",
    ]
    whole_seconds = predicted_seconds(options, {}, full_model)
    for model in options.model:
        lines.append(f"| **{model}** | | | | | | |")
        full: list[Picture] = []
        for shortcut in SHORTCUTS:
            print(f"{model}: {name_of(shortcut)} ...", file=sys.stderr)
            pictures = [draw(options, model, shortcut, i, folder) for i in range(options.pictures)]
            full = full or pictures
            predicted = None
            if model == "tiny-sd21" and "skip_threshold" not in shortcut:
                predicted = predicted_seconds(options, shortcut, full_model) / whole_seconds
            lines.append(row(f"`{name_of(shortcut)}`", pictures, full, predicted))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
