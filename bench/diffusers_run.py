"""One picture by diffusers, timed; what was measured goes to a JSON file.

BENCH_START in the environment is the time (as of time.time()) at which this process was started.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dtype", choices=DTYPES, required=True)
    parser.add_argument("--layout", choices=["contiguous", "channels_last"], required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, required=True, help="0: ends before the first one")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


class Clock:
    """Seconds between calls, after the device has done what it was told to."""

    def __init__(self, device: str):
        self.device = device
        self.last = time.perf_counter()

    def lap(self) -> float:
        if self.device != "cpu":
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds


class EncoderClock:
    """Seconds within the text encoders of a pipeline."""

    def __init__(self, pipeline, device: str):
        self.seconds = 0.0
        self.clock = Clock(device)
        for name in ("text_encoder", "text_encoder_2"):
            encoder = getattr(pipeline, name, None)
            if encoder is not None:
                encoder.register_forward_pre_hook(self.begin)
                encoder.register_forward_hook(self.add)

    def begin(self, *_) -> None:
        self.clock.lap()

    def add(self, *_) -> None:
        self.seconds += self.clock.lap()


def load(options: argparse.Namespace) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    dtype = DTYPES[options.dtype]
    if options.model.is_file():  # its configs are beside it
        pipeline = StableDiffusionXLPipeline.from_single_file(
            options.model, config=str(options.model.parent), dtype=dtype, local_files_only=True
        )
    else:
        pipeline = StableDiffusionPipeline.from_pretrained(
            options.model, dtype=dtype, local_files_only=True
        )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(options.device)
    if options.layout == "channels_last":
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


def main() -> None:
    options = arguments()
    clock = Clock(options.device)
    pipeline = load(options)
    load_seconds = clock.lap()

    start = float(os.environ["BENCH_START"])
    laps, first_begin, first_end = [], [], []

    def on_unet(*_):
        if not first_begin:
            first_begin.append(time.time())
        if options.steps == 0:
            ready = {"load_seconds": load_seconds, "ready_seconds": first_begin[0] - start}
            options.out.write_text(json.dumps(ready, indent=2))
            sys.exit()

    def on_step(_pipeline, _step, _timestep, tensors):
        laps.append(clock.lap())
        if not first_end:
            first_end.append(time.time())
        return tensors

    encoders = EncoderClock(pipeline, options.device)
    pipeline.unet.register_forward_pre_hook(on_unet)
    latent = pipeline(
        options.prompt,
        width=options.size,
        height=options.size,
        num_inference_steps=max(1, options.steps),
        guidance_scale=7.5,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        callback_on_step_end=on_step,
    ).images
    clock.lap()
    with torch.inference_mode():
        image = pipeline.vae.decode(latent / pipeline.vae.config.scaling_factor).sample
    decode_seconds = clock.lap()
    pipeline.image_processor.postprocess(image)[0].save(options.out.with_suffix(".png"))

    measured = {
        "step_seconds": statistics.median(laps[1:] or laps),
        "decode_seconds": decode_seconds,
        "text_seconds": encoders.seconds,
        "cold_seconds": time.time() - start,
        "load_seconds": load_seconds,
        "ready_seconds": first_begin[0] - start,
        "first_step_seconds": first_end[0] - start,
        "laps": laps,
    }
    if options.device != "cpu":
        measured["device_peak_bytes"] = torch.cuda.max_memory_allocated()
    options.out.write_text(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
