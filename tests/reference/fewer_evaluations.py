"""Pictures with evaluations left out, by diffusers' modules in a loop of our own: guidance in an
interval, deep features reused, whole steps skipped, tokens merged.  Without any of these the loop
gives what diffusers' pipeline gives, which is checked.
"""

from pathlib import Path
from typing import Any

import layouts
import torch
from cases import SAMPLERS
from diffusers import StableDiffusionPipeline
from layouts import write_json
from partial_unet import merged_tokens, predict
from safetensors.torch import load_file, save_file
from tensors import Tensors, gaussian
from torch import Tensor

FOLDER, REFERENCE = "fewer_evaluations", "reference.safetensors"
VARIANTS = {"sd21_v_like": "fp16"}
Case = dict[str, Any]


def case(name: str, model: str = "sd15_like", **changes: Any) -> Case:
    return {"name": name, "model": model, "prompt": "a large red star on a blue background",
            "width": 32, "height": 32, "steps": 10, "guidance": 5.0, "seed": 7, "batch": 1,
            **changes}


CASES = [
    case("everything"),
    case("interval", guidance_begin=0.2, guidance_end=0.7, batch=2),
    case("interval_of_v", "sd21_v_like", guidance_begin=0.25, guidance_end=1.0, steps=8),
    case("cache", cache_interval=3, batch=2),
    case("cache_of_branch_3", "sd21_v_like", cache_interval=2, cache_branch=3, steps=5),
    case("cache_in_interval", cache_interval=4, cache_branch=1, guidance_begin=0.2,
         guidance_end=0.8),
    case("skip", skip_threshold=0.15, skipped=[3, 5, 6, 7, 8]),
    case("skip_of_v", "sd21_v_like", skip_threshold=0.2, guidance_end=0.5, steps=12,
         skipped=[8, 10]),
    case("merge", merge_ratio=0.5, steps=2, width=40),
    case("merge_of_v", "sd21_v_like", merge_ratio=0.3, steps=2),
]


def is_guided(settings: Case, step: int) -> bool:
    steps = settings["steps"]
    begin, end = (round(settings.get(f"guidance_{side}", other) * steps)
                  for side, other in (("begin", 0.0), ("end", 1.0)))
    return begin <= step < end


class Loop:
    """diffusers' loop of Euler's steps, in which evaluations may be left out."""

    def __init__(self, pipe: StableDiffusionPipeline, settings: Case) -> None:
        self.unet, self.settings = pipe.unet, settings
        self.scheduler = SAMPLERS["euler"].from_config(pipe.scheduler.config)
        self.scheduler.set_timesteps(settings["steps"])
        self.positive, self.negative = pipe.encode_prompt(settings["prompt"], "cpu", 1, True, "")
        size = [settings[side] // pipe.vae_scale_factor for side in ("height", "width")]
        noise = [gaussian((1, 4, *size), settings["seed"] + i) for i in range(settings["batch"])]
        self.latent = torch.cat(noise) * self.scheduler.init_noise_sigma
        self.kept: dict[bool, Tensor] = {}  # deep features, by whether they are the negative ones
        self.last: Any = None  # step, sample and denoised sample of the last evaluation
        self.rate = float("inf")
        self.skipped: list[int] = []

    def prediction(self, step: int) -> Tensor:
        time = self.scheduler.timesteps[step]
        sample = self.scheduler.scale_model_input(self.latent, time)
        positive = self.evaluated(step, sample, time, is_negative=False)
        if not is_guided(self.settings, step):
            return positive
        negative = self.evaluated(step, sample, time, is_negative=True)
        return negative + self.settings["guidance"] * (positive - negative)

    def evaluated(self, step: int, sample: Tensor, time: Tensor, is_negative: bool) -> Tensor:
        hidden = (self.negative if is_negative else self.positive).expand(len(sample), -1, -1)
        size = tuple(sample.shape[2:])
        if ratio := self.settings.get("merge_ratio"):
            with merged_tokens(self.unet, ratio, self.settings["seed"] + step, size):
                return self.unet(sample, time, hidden).sample
        if "cache_interval" not in self.settings:
            return self.unet(sample, time, hidden).sample
        begins = step > 0 and is_guided(self.settings, step) > is_guided(self.settings, step - 1)
        whole = begins or step % self.settings["cache_interval"] == 0
        kept = None if whole else self.kept[is_negative]
        noise, self.kept[is_negative] = predict(self.unet, sample, time, hidden,
                                                self.settings.get("cache_branch", 0), kept)
        if whole:
            assert torch.equal(noise, self.unet(sample, time, hidden).sample)
        return noise

    def denoised(self, step: int, prediction: Tensor) -> Tensor:
        sigma = self.scheduler.sigmas[step]
        if self.scheduler.config.prediction_type == "epsilon":
            return self.latent - sigma * prediction
        variance = sigma**2 + 1
        return self.latent / variance - sigma / variance**0.5 * prediction

    def prediction_of(self, step: int, denoised: Tensor) -> Tensor:
        """The other way round."""
        sigma = self.scheduler.sigmas[step]
        if self.scheduler.config.prediction_type == "epsilon":
            return (self.latent - denoised) / sigma
        variance = sigma**2 + 1
        return (self.latent / variance - denoised) * variance**0.5 / sigma

    def prediction_or_last(self, step: int) -> Tensor:
        """EasyCache (Zhou et al. 2025, arXiv 2507.02860) of one picture, on denoised samples."""
        sample = self.latent / (self.scheduler.sigmas[step] ** 2 + 1) ** 0.5
        guided = [is_guided(self.settings, i) for i in range(max(step - 1, 0), step + 1)]
        steady = step > 0 and guided[0] == guided[1]
        if steady and 1 < step < self.settings["steps"] - 1:
            change = self.rate * (sample - self.last[0]).abs().mean() / self.last[1].abs().mean()
            if change < self.settings["skip_threshold"]:
                self.skipped.append(step)
                return self.prediction_of(step, self.last[1])
        prediction = self.prediction(step)
        now = sample, self.denoised(step, prediction)
        self.rate = float("inf")
        if steady:
            changes = [(a - b).abs().mean() for a, b in zip(now, self.last, strict=True)]
            self.rate = float(changes[1] / changes[0])
        self.last = now
        return prediction

    def run(self) -> Tensor:
        for step, time in enumerate(self.scheduler.timesteps):
            skips = "skip_threshold" in self.settings
            prediction = self.prediction_or_last(step) if skips else self.prediction(step)
            self.latent = self.scheduler.step(prediction, time, self.latent).prev_sample
        return self.latent


def check_loop(pipe: StableDiffusionPipeline, settings: Case, latent: Tensor) -> None:
    pipe.scheduler = SAMPLERS["euler"].from_config(pipe.scheduler.config)
    whole = pipe(settings["prompt"], width=settings["width"], height=settings["height"],
                 num_inference_steps=settings["steps"], guidance_scale=settings["guidance"],
                 output_type="latent",
                 generator=torch.Generator().manual_seed(settings["seed"])).images
    assert torch.allclose(whole, latent, atol=1e-4), (whole - latent).abs().max()


def compute(models: Path) -> Tensors:
    results: Tensors = {}
    for settings in CASES:
        pipe = layouts.load(models / settings["model"], VARIANTS.get(settings["model"]))
        loop = Loop(pipe, settings)
        latent = loop.run()
        assert loop.skipped == settings.get("skipped", []), (settings["name"], loop.skipped)
        if settings["name"] == "everything":
            check_loop(pipe, settings, latent)
        results[settings["name"]] = latent.contiguous()
    return results


def make(out: Path) -> None:
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    save_file(compute(out), folder / REFERENCE)
    write_json(folder / "cases.json", CASES)


def check(out: Path) -> bool:
    saved, results = load_file(out / FOLDER / REFERENCE), compute(out)
    same = saved.keys() == results.keys()
    same = same and all(torch.equal(saved[name], results[name]) for name in saved)
    print(f"{FOLDER}: {len(saved)} tensors {'are equal' if same else 'DIFFER'}")
    return same
