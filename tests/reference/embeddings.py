"""Textual inversion embeddings, and what the text encoders make of prompts that name them."""

from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

FOLDER = "embeddings"
SD15, SDXL = "sd15_like", "sdxl_like"
# "<one>" for "embedding:one".
PROMPTS = {
    SD15: ["a photo of <one>, red", "<three> and <one> on a blue background <three>"],
    SDXL: ["a large <both> star"],
}
Tensors = dict[str, torch.Tensor]


def files() -> dict[str, Tensors]:
    """By name, in the forms that trainers write."""
    generator = torch.Generator().manual_seed(61)

    def vectors(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return {"one": {"emb_params": vectors(1, 32)},
            "three": {"<three>": vectors(3, 32).half()},
            "flat": {"<flat>": vectors(32)},
            "both": {"clip_l": vectors(2, 16), "clip_g": vectors(2, 24)}}


def encode(pipe: DiffusionPipeline, part: str, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder's output, and where the prompt ends."""
    tokenizer = getattr(pipe, f"tokenizer{part}")
    text = pipe.maybe_convert_prompt(prompt, tokenizer)
    ids = tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
    end = int((ids[0] == tokenizer.eos_token_id).nonzero()[0])
    return getattr(pipe, f"text_encoder{part}")(ids, output_hidden_states=True), end


def sd15_tensors(folder: Path) -> Tensors:
    pipe = DiffusionPipeline.from_pretrained(folder / SD15, torch_dtype=torch.float32)
    for name in ("one", "three"):
        pipe.load_textual_inversion(folder / FOLDER / f"{name}.safetensors", token=f"<{name}>")
    return {f"{SD15}.{i}": encode(pipe, "", prompt)[0].last_hidden_state
            for i, prompt in enumerate(PROMPTS[SD15])}


def sdxl_tensors(folder: Path) -> Tensors:
    pipe = DiffusionPipeline.from_pretrained(folder / SDXL, torch_dtype=torch.float32)
    both = load_file(folder / FOLDER / "both.safetensors")
    for part, key in (("", "clip_l"), ("_2", "clip_g")):
        pipe.load_textual_inversion(both[key], token="<both>",
                                    text_encoder=getattr(pipe, f"text_encoder{part}"),
                                    tokenizer=getattr(pipe, f"tokenizer{part}"))
    results = {}
    for i, prompt in enumerate(PROMPTS[SDXL]):
        for part in ("", "_2"):
            states, end = encode(pipe, part, prompt)
            results[f"{SDXL}.{i}{part}"] = states.hidden_states[-2]
        # The config's eos_token_id is 2, by which transformers takes the state of the largest id:
        # of a token that was added, not of the end.
        results[f"{SDXL}.{i}.pooled"] = pipe.text_encoder_2.text_projection(
            states.last_hidden_state[:, end])
    return results


def compute(folder: Path) -> Tensors:
    return sd15_tensors(folder) | sdxl_tensors(folder)


def make(folder: Path) -> None:
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, tensors in files().items():
        save_file(tensors, folder / FOLDER / f"{name}.safetensors")
    results = {name: tensor.contiguous() for name, tensor in compute(folder).items()}
    save_file(results, folder / f"{FOLDER}.safetensors")


def check(folder: Path) -> bool:
    saved, results = load_file(folder / f"{FOLDER}.safetensors"), compute(folder)
    same = saved.keys() == results.keys()
    same = same and all(torch.equal(saved[name], results[name]) for name in saved)
    print(f"{FOLDER}: {len(saved)} tensors {'are equal' if same else 'DIFFER'}")
    return same
