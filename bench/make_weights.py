"""Makes a model of Stable Diffusion 2.1's or XL's full size with random weights, in diffusers'
layout.

Random numbers cost the same time as trained ones.  The layers' own initialisation keeps every
value finite, also in bfloat16.  The tokenizer is the bundled model's: its ids are below 49408.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "golden"))
import full_size  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def text_encoder(source: Path, part: str, text: full_size.Text) -> CLIPTextModel:
    small = json.loads((source / part / "config.json").read_text())
    ids = {name: small[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    kind = CLIPTextModelWithProjection if text.projected else CLIPTextModel
    return kind(CLIPTextConfig(**text.config(), **ids))


def vae_config(model: full_size.Model) -> dict:
    blocks = len(full_size.VAE_WIDTHS)
    return full_size.vae_config(model) | {
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
        "sample_size": 512,
        "force_upcast": False,
    }


def make(family: str, dtypes: list[str], source: Path, target: Path) -> None:
    """Several types are of one draw, so that they are the same model."""
    torch.manual_seed(0)
    if dtypes == ["bf16"]:  # half the memory while it is made
        torch.set_default_dtype(torch.bfloat16)

    def save(part: str, module: torch.nn.Module) -> None:
        for name in dtypes:
            module.to(DTYPES[name]).save_pretrained(
                target / name / part, max_shard_size="100GB", safe_serialization=True
            )

    model = full_size.MODELS[family]
    save("unet", UNet2DConditionModel.from_config(model.unet.config()))
    save("vae", AutoencoderKL.from_config(vae_config(model)))
    for part, text in model.texts.items():
        save(part, text_encoder(source, part, text))
    for name in dtypes:
        tokenizers = [part.replace("text_encoder", "tokenizer") for part in model.texts]
        for part in ("scheduler", *tokenizers):
            shutil.copytree(source / part, target / name / part, dirs_exist_ok=True)
        shutil.copy(source / "model_index.json", target / name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=["sd21", "sdxl"])
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
