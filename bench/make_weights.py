"""Makes a model of Stable Diffusion 2.1's or XL's full size with random weights, in diffusers'
layout.

Random numbers cost the same time as trained ones.  The layers' own initialisation keeps every
value finite, also in bfloat16.  The tokenizer is the bundled model's: its ids are below 49408.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

UNETS = {
    "sd21": {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "sample_size": 64,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "sdxl": {
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "layers_per_block": 2,
        "sample_size": 128,
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
# Of each text encoder: width, layers, activation.
TEXTS = {
    "sd21": {"text_encoder": (1024, 23, "gelu")},
    "sdxl": {"text_encoder": (768, 12, "quick_gelu"), "text_encoder_2": (1280, 32, "gelu")},
}
LATENT_SCALES = {"sd21": 0.18215, "sdxl": 0.13025}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def text_encoder(source: Path, part: str, sizes: tuple[int, int, str]) -> CLIPTextModel:
    width, layers, activation = sizes
    small = json.loads((source / part / "config.json").read_text())
    ids = {name: small[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=width,
        hidden_act=activation,
        **ids,
    )
    return (CLIPTextModelWithProjection if part.endswith("_2") else CLIPTextModel)(config)


def make(family: str, dtypes: list[str], source: Path, target: Path) -> None:
    """Several types are of one draw, so that they are the same model."""
    torch.manual_seed(0)
    if dtypes == ["bf16"]:  # half the memory while it is made
        torch.set_default_dtype(torch.bfloat16)

    def save(part: str, model: torch.nn.Module) -> None:
        for name in dtypes:
            model.to(DTYPES[name]).save_pretrained(
                target / name / part, max_shard_size="100GB", safe_serialization=True
            )

    save("unet", UNet2DConditionModel(**UNETS[family]))
    save("vae", AutoencoderKL(**VAE, scaling_factor=LATENT_SCALES[family], force_upcast=False))
    for part, sizes in TEXTS[family].items():
        save(part, text_encoder(source, part, sizes))
    for name in dtypes:
        tokenizers = [part.replace("text_encoder", "tokenizer") for part in TEXTS[family]]
        for part in ("scheduler", *tokenizers):
            shutil.copytree(source / part, target / name / part, dirs_exist_ok=True)
        shutil.copy(source / "model_index.json", target / name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=UNETS)
    parser.add_argument("source", type=Path, help="the bundled model: tokenizers and scheduler")
    parser.add_argument("target", type=Path)
    parser.add_argument("dtypes", choices=DTYPES, nargs="+")
    options = parser.parse_args()
    stamp = options.target / "complete"
    if stamp.exists():
        return
    shutil.rmtree(options.target, ignore_errors=True)
    make(options.family, options.dtypes, options.source, options.target)
    stamp.touch()


if __name__ == "__main__":
    main()
