"""Makes a model of Stable Diffusion 2.1's full size with random weights, in diffusers' layout.

Random numbers cost the same time as trained ones.  The layers' own initialisation keeps every
value finite, also in bfloat16.  The tokenizer is the bundled model's: its ids are below 49408.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

UNET = {
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "sample_size": 64,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
    "hidden_act": "gelu",
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def text_encoder(source: Path) -> CLIPTextModel:
    small = json.loads((source / "text_encoder" / "config.json").read_text())
    ids = {name: small[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return CLIPTextModel(CLIPTextConfig(**TEXT, **ids))


def save(target: Path, part: str, model: torch.nn.Module) -> None:
    """Both types from one draw, so that they are the same model."""
    for name, dtype in DTYPES.items():
        model.to(dtype).save_pretrained(target / name / part)


def make(source: Path, target: Path) -> None:
    torch.manual_seed(0)
    save(target, "unet", UNet2DConditionModel(**UNET))
    save(target, "vae", AutoencoderKL(**VAE))
    save(target, "text_encoder", text_encoder(source))
    for name in DTYPES:
        for part in ("tokenizer", "scheduler"):
            shutil.copytree(source / part, target / name / part, dirs_exist_ok=True)
        shutil.copy(source / "model_index.json", target / name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path, help="the bundled model: tokenizer and scheduler")
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    stamp = options.target / "complete"
    if stamp.exists():
        return
    shutil.rmtree(options.target, ignore_errors=True)
    make(options.source, options.target)
    stamp.touch()


if __name__ == "__main__":
    main()
