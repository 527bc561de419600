"""Tiny random models of the SDXL family: a base model and a refiner."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from layouts import write_old_tokenizer
from recipes import BETAS, CROSS, END_ID, PLAIN, START_ID, VOCAB_SIZE, randomise, up_blocks
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

PIPELINES = {"sdxl_like": StableDiffusionXLPipeline,
             "sdxl_refiner_like": StableDiffusionXLImg2ImgPipeline}
SEEDS = {"sdxl_like": 31, "sdxl_refiner_like": 32}
# The refiner reads the base model's second encoder, and the latents of its VAE.
SECOND_TEXT = {"hidden_size": 24, "intermediate_size": 56, "num_attention_heads": 3,
               "num_hidden_layers": 4, "hidden_act": "gelu", "projection_dim": 20,
               "eos_token_id": 2, "pad_token_id": 1}
FIRST_TEXT = {"hidden_size": 16, "intermediate_size": 40, "num_attention_heads": 4,
              "num_hidden_layers": 3, "hidden_act": "quick_gelu", "projection_dim": 16,
              "eos_token_id": END_ID, "pad_token_id": 1}
POOLED, SIZE_WIDTH = SECOND_TEXT["projection_dim"], 6
UNETS: dict[str, dict[str, Any]] = {
    "sdxl_like": {
        "block_out_channels": (8, 12, 16), "layers_per_block": 1, "norm_num_groups": 4,
        "attention_head_dim": [1, 2, 4], "transformer_layers_per_block": [1, 2, 3],
        "cross_attention_dim": 40, "down_block_types": (PLAIN, CROSS, CROSS),
        "projection_class_embeddings_input_dim": POOLED + 6 * SIZE_WIDTH},
    "sdxl_refiner_like": {
        "block_out_channels": (8, 8, 12, 12), "layers_per_block": 1, "norm_num_groups": 4,
        "attention_head_dim": [1, 2, 3, 3], "transformer_layers_per_block": 2,
        "cross_attention_dim": 24, "down_block_types": (PLAIN, CROSS, CROSS, PLAIN),
        "projection_class_embeddings_input_dim": POOLED + 5 * SIZE_WIDTH},
}


def text_config(options: dict[str, Any]) -> CLIPTextConfig:
    return CLIPTextConfig(vocab_size=VOCAB_SIZE, bos_token_id=START_ID, **options)


def unet(name: str) -> UNet2DConditionModel:
    options = UNETS[name]
    up = up_blocks(options["down_block_types"], "DownBlock2D", "UpBlock2D")
    return UNet2DConditionModel(up_block_types=up, sample_size=16, use_linear_projection=True,
                                addition_embed_type="text_time",
                                addition_time_embed_dim=SIZE_WIDTH, **options)


def vae() -> AutoencoderKL:
    return AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 3,
                         up_block_types=("UpDecoderBlock2D",) * 3,
                         block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4,
                         latent_channels=4, sample_size=64, scaling_factor=0.13025,
                         force_upcast=True)


def tokenizers(folder: Path, vocab: Path) -> dict[str, CLIPTokenizer | None]:
    """The second one pads with "!"; a refiner has no other."""
    pads = {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}
    if folder.name == "sdxl_refiner_like":
        del pads["tokenizer"]
    for name, pad in pads.items():
        write_old_tokenizer(folder / name, vocab, pad, published=True)
    return {"tokenizer": None, **{name: CLIPTokenizer.from_pretrained(folder / name)
                                  for name in pads}}


def build(folder: Path, vocab: Path) -> DiffusionPipeline:
    name = folder.name
    second = CLIPTextModelWithProjection(text_config(SECOND_TEXT))
    parts: dict[str, Any] = {"text_encoder_2": second,
                             "unet": unet(name), "vae": vae(), "text_encoder": None}
    options: dict[str, Any] = {"requires_aesthetics_score": True,
                               "force_zeros_for_empty_prompt": False}
    if name == "sdxl_like":
        parts["text_encoder"] = CLIPTextModel(text_config(FIRST_TEXT))
        options = {"force_zeros_for_empty_prompt": True}
    for offset, model in enumerate(part for part in parts.values() if part is not None):
        randomise(model.eval(), SEEDS[name] * 10 + offset)
    scheduler = EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading")
    return PIPELINES[name](**parts, **tokenizers(folder, vocab), scheduler=scheduler,
                           add_watermarker=False, **options)


def save(pipe: DiffusionPipeline, folder: Path) -> None:
    """In float16, but for the tokenizers, which are there."""
    for name in ("text_encoder", "text_encoder_2", "unet", "vae"):
        if (part := getattr(pipe, name)) is not None:
            part.half().save_pretrained(folder / name)
    pipe.scheduler.save_pretrained(folder / "scheduler")
    pipe.save_config(folder)


def load(folder: Path) -> DiffusionPipeline:
    pipe = PIPELINES[folder.name].from_pretrained(folder, dtype=torch.float32,
                                                  add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe
