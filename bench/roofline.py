"""Compares each operation of a run with the best that a plain matrix product or convolution of its
shape reaches on this machine, in whichever of LibTorch's forms is fastest.  The run is one of a
full-size random model; prints a table in Markdown for each node."""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

import bench

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
MEASURED_SECONDS = 0.4  # of each form
HEAD_WIDTH = 64  # of Stable Diffusion 2.x and XL


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench roofline", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", type=int, default=512, help="of the square picture, in pixels")
    parser.add_argument("--share", type=float, default=0.01, help="of a node's time, to be shown")
    parser.set_defaults(device="cpu", model="sd21")
    return parser.parse_args()


def fastest(forms: list[Callable[[], object]]) -> float:
    """Seconds of the fastest call of the fastest form."""
    best = float("inf")
    for form in forms:
        form()
        end = time.perf_counter() + MEASURED_SECONDS
        while time.perf_counter() < end:
            begin = time.perf_counter()
            form()
            best = min(best, time.perf_counter() - begin)
    return best


def products(x: torch.Tensor, weight: torch.Tensor) -> list[Callable[[], object]]:
    forms = [lambda: functional.linear(x, weight)]
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pointwise = torch.ops.mkldnn._linear_pointwise
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, x[..., 0].numel())
        forms += [lambda w=w: pointwise(x, w, None, "none", [], "") for w in (weight, packed)]
    return forms


def convolutions(x: torch.Tensor, weight: torch.Tensor, stride: int) -> list[Callable[[], object]]:
    padding = weight.shape[-1] // 2
    last = x.contiguous(memory_format=torch.channels_last)
    forms = [
        lambda: functional.conv2d(x, weight, None, stride, padding),
        lambda: functional.conv2d(last, weight, None, stride, padding),
    ]
    if hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        where = [padding] * 2, [stride] * 2, [1, 1]
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *where, 1, list(x.shape))
        pointwise = torch.ops.mkldnn._convolution_pointwise
        forms.append(lambda: pointwise(last, packed, None, *where, 1, "none", [], ""))
    return forms


def attentions(q: torch.Tensor, k: torch.Tensor) -> list[Callable[[], object]]:
    """Its two products alone, of one head and over as many queries at once as fit in a cache."""
    scores = q @ k.t()
    return [lambda: (torch.mm(q, k.t()), torch.mm(scores, k))]


def one_head(x: torch.Tensor) -> torch.Tensor:
    """Of [B, heads, L, K], or of [B, L, heads * K] in an operator that splits them itself."""
    return x[0, 0] if x.dim() == 4 else x[0, :, : min(HEAD_WIDTH, x.shape[-1])].contiguous()


def best_rate(row: dict, dtype: torch.dtype) -> float | None:
    """GFLOP/s; None where nothing plain has this shape."""
    shapes = [
        [int(n) for n in text.split(",")] for text in re.findall(r"\[([\d, ]+)\]", row["shapes"])
    ]
    x, weight = (torch.randn(shape, dtype=dtype) for shape in shapes[:2])
    name = row["operator"]
    if "linear" in name:
        return 2e-9 * x.numel() * weight.shape[0] / fastest(products(x, weight))
    if name in ("mm", "bmm"):
        work = 2e-9 * x.numel() * weight.shape[-1]
        return work / fastest([lambda: torch.matmul(x, weight)])
    if "conv2d" in name:
        if "doubled" in name:
            x = functional.interpolate(x, scale_factor=2)
        per_call = row["gflops_per_second"] * row["seconds"] / row["calls"]
        plain = 2e-9 * x.shape[0] * x.shape[2] * x.shape[3] * weight.numel()
        stride = round((plain / per_call) ** 0.5)
        return per_call / fastest(convolutions(x, weight, stride))
    if "attention" in name:
        q, k = one_head(x)[:256], one_head(weight)
        return 4e-9 * q.numel() * k.shape[0] / fastest(attentions(q, k))
    return None


def lines_of(step: dict, options: argparse.Namespace) -> list[str]:
    lines = [
        f"{step['node']}, {step['variant']}, {step['seconds']:.2f} s in {step['iterations']}",
        "",
        "| operation | shapes | calls | s | share | GFLOP/s | best plain | of it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in step["operators"]:
        if row["share"] < options.share:
            continue
        cells = [row["operator"], row["shapes"], str(row["calls"]), f"{row['seconds']:.2f}"]
        cells.append(f"{100 * row['share']:.1f} %")
        rate = row.get("gflops_per_second")
        if rate is not None:
            best = best_rate(row, DTYPES[options.dtype])
            cells += [f"{rate:.0f}"]
            cells += [f"{best:.0f}", f"{rate / best:.2f}"] if best else ["", ""]
        else:
            cells += ["", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def main() -> None:
    options = arguments()
    bench.make_model(options)
    folder = options.build / "bench" / "runs" / options.model / options.dtype
    folder.mkdir(parents=True, exist_ok=True)
    print("Running ...", file=sys.stderr)
    bench.emulsion(options, options.dtype, folder)
    report = json.loads((folder / "emulsion.json").read_text())
    where = bench.machine()
    print(f"{where['processor']}, {where['cores']} cores, {options.dtype}, {options.size} pixels\n")
    with torch.inference_mode():
        for step in report["steps"]:
            if step["seconds"] >= options.share * report["seconds"]:
                print("\n".join(lines_of(step, options)), flush=True)


if __name__ == "__main__":
    main()
