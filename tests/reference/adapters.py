"""Tiny adapters for two of the tiny models, in every form and spelling, and the weights that the
models have with them: by diffusers or peft where these know form and spelling, else by the formulas
of adapter_forms."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import adapter_names as names
import layouts
import sdxl_recipes
import torch
from adapter_merges import by_diffusers, by_formula, by_peft, weights
from adapter_names import Modules, Tensors
from peft import BOFTConfig, IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig
from safetensors.torch import load_file, save_file
from tensors import gaussian

FOLDER, EXPECTED, CASES = "adapters", "expected.safetensors", "cases.json"
SD15, SDXL = "sd15_like", "sdxl_like"
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
SDXL_BLOCK = "down_blocks.1.attentions.0.transformer_blocks.1"
TEXT = "text_model.encoder.layers.1"
TOLD = ("peft_type", "r", "lora_alpha", "oft_block_size", "use_cayley_neumann", "coft", "eps",
        "num_cayley_neumann_terms", "block_share", "feedforward_modules")  # of PEFT's configs
DOWN = "down_blocks.0.downsamplers.0.conv"  # [8, 8, 3, 3] in both


@dataclass
class Case:
    name: str
    model: str
    made_by: str
    tensors: Tensors
    merged: Tensors
    strength: float = 1.0
    metadata: dict[str, str] = field(default_factory=dict)
    config: dict[str, object] | None = None  # PEFT's, in a file beside the tensors

    @property
    def file(self) -> str:
        folder = f"{self.name}/adapter_model" if self.config else self.name
        return f"{folder}.safetensors"


def lora(pipe, modules: list[str], rank: int, seed: int, alpha: float | None = None) -> Modules:
    base, result = weights(pipe), {}
    for offset, module in enumerate(modules):
        out, *rest = base[f"{module}.weight"].shape
        pieces = {"lora_down.weight": gaussian((rank, *rest), seed * 100 + 2 * offset) * 0.3,
                  "lora_up.weight": gaussian((out, rank, *[1] * (len(rest) - 1)),
                                             seed * 100 + 2 * offset + 1)}
        if alpha is not None:
            pieces["alpha"] = torch.tensor(alpha)
        result[module] = pieces
    return result


def halved(tensors: Tensors) -> Tensors:
    return {name: tensor.half() for name, tensor in tensors.items()}


def diffusers_case(pipe, name: str, model: str, tensors: Tensors, strength: float = 1.0,
                   metadata: dict[str, str] | None = None) -> Case:
    metadata = metadata or {}
    return Case(name, model, "diffusers", tensors,
                by_diffusers(pipe, tensors, metadata, strength), strength, metadata)


def formula_case(pipe, name: str, model: str, modules: Modules, strength: float = 1.0,
                 tensors: Tensors | None = None) -> Case:
    tensors = tensors or names.kohya(modules)
    return Case(name, model, "formula", tensors, by_formula(pipe, modules, strength), strength)


def spelling_cases(pipe) -> list[Case]:
    attention = [f"unet/{BLOCK}.attn1.to_q", f"unet/{BLOCK}.attn1.to_out.0",
                 f"text_encoder/{TEXT}.self_attn.v_proj", f"text_encoder/{TEXT}.self_attn.out_proj"]
    every = [f"unet/{BLOCK}.attn2.to_k", f"unet/{BLOCK}.ff.net.0.proj", f"unet/{DOWN}",
             "unet/down_blocks.0.attentions.0.proj_in", f"text_encoder/{TEXT}.self_attn.out_proj"]
    named = lora(pipe, every[:1], 2, 6)
    told = {part: {"lora_alpha": 6, "r": 4, "rank_pattern": {}, "alpha_pattern": {},
                   "target_modules": [name.split("/")[1].removeprefix("text_model.")
                                      for name in attention if name.startswith(f"{part}/")]}
            for part in ("unet", "text_encoder")}
    told["unet"]["alpha_pattern"] = {f"{BLOCK}.attn1.to_q": 3}
    metadata = {"lora_adapter_metadata": json.dumps(
        {f"{part}.{key}": value for part in told for key, value in told[part].items()})}
    return [
        diffusers_case(pipe, "kohya", SD15, halved(names.kohya(lora(pipe, every, 3, 1, 1.5))), 0.7),
        diffusers_case(pipe, "kohya_without_alpha", SD15, names.kohya(lora(pipe, every[:2], 2, 2))),
        diffusers_case(pipe, "oldest_diffusers", SD15,
                       names.oldest_diffusers(lora(pipe, attention, 2, 3)), 1.25),
        diffusers_case(pipe, "older_diffusers", SD15,
                       names.older_diffusers(lora(pipe, attention, 2, 4))),
        diffusers_case(pipe, "diffusers", SD15, names.peft(lora(pipe, attention, 4, 5)),
                       metadata=metadata),
        formula_case(pipe, "named_by_peft", SD15, named, tensors=names.peft(named, ".default")),
    ]


def sdxl_cases(pipe) -> list[Case]:
    modules = [f"unet/{SDXL_BLOCK}.attn2.to_v", "unet/down_blocks.0.resnets.0.conv1",
               f"unet/{DOWN}", f"text_encoder/{TEXT}.self_attn.out_proj",
               f"text_encoder_2/{TEXT}.self_attn.out_proj", f"text_encoder_2/{TEXT}.mlp.fc2"]
    sgm = [f"unet/{SDXL_BLOCK}.attn2.to_v", "unet/up_blocks.0.attentions.1.proj_in",
           "unet/mid_block.attentions.0.transformer_blocks.0.ff.net.2",
           f"text_encoder_2/{TEXT}.self_attn.out_proj"]
    return [
        diffusers_case(pipe, "kohya_sdxl", SDXL,
                       names.kohya(lora(pipe, modules, 2, 11, 1.0), names.KOHYA_SDXL)),
        diffusers_case(pipe, "sgm_sdxl", SDXL,
                       names.sgm(lora(pipe, sgm, 2, 12, 1.0), layers=1, attending={0, 1})),
        open_clip_case(pipe),
    ]


def open_clip_case(pipe) -> Case:
    """One module of the trainer's is three of the model's, which share the half that is not
    stacked."""
    attention = f"text_encoder_2/{TEXT}.self_attn"
    modules = lora(pipe, [f"{attention}.{one}_proj" for one in "qkv"], 2, 13, 4.0)
    query = modules[f"{attention}.q_proj"]
    for pieces in modules.values():
        pieces.update({end: query[end] for end in ("lora_down.weight", "alpha")})
    stack = torch.cat([pieces["lora_up.weight"] for pieces in modules.values()])
    others = lora(pipe, [f"text_encoder_2/{TEXT}.mlp.fc2"], 2, 14)
    tensors = names.open_clip({f"{attention}.q_proj": query | {"lora_up.weight": stack}} | others)
    return formula_case(pipe, "open_clip_sdxl", SDXL, modules | others, 0.5, tensors)


def as_kohya(tensors: Tensors, alpha: float) -> Tensors:
    """PEFT's tensors of a UNet in the spelling of kohya's scripts and LyCORIS."""
    ends = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight",
            "lora_magnitude_vector": "dora_scale"}
    modules: Modules = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("base_model.model.")
        known = next((end for end in ends if name.endswith(end)), None)
        module, end = (name[:-len(known) - 1], ends[known]) if known else name.rsplit(".", 1)
        if end == "dora_scale":  # a row each, where PEFT has them along an axis of its own
            tensor = tensor.flatten().reshape(-1, *[1] * max(1, tensor.dim() - 1))
        modules.setdefault(f"unet/{module}", {"alpha": torch.tensor(alpha)})[end] = tensor
    return names.kohya(modules)


def peft_cases(pipe, name: str, config, seed: int, alpha: float) -> list[Case]:
    """The same adapter in both spellings; alpha / r is in the config of the one."""
    tensors, merged = by_peft(pipe, "unet", config, seed)
    told = {key: value for key, value in config.to_dict().items()
            if key in ("peft_type", "r", "alpha", "lora_alpha", "rank_pattern", "alpha_pattern",
                       "use_rslora", "use_dora")}
    told["peft_type"] = told["peft_type"].value
    return [Case(f"{name}_by_peft", SD15, "peft", tensors, merged, config=told),
            Case(name, SD15, "peft", as_kohya(tensors, alpha), merged)]


def forms_of_peft_alone(pipe) -> list[Case]:
    to_k, to_q, to_out = (f"{BLOCK}.attn{name}" for name in ("2.to_k", "1.to_q", "1.to_out.0"))
    before, behind = (f"down_blocks.0.attentions.0.proj_{end}" for end in ("in", "out"))
    configs = {
        "oft_of_columns": OFTConfig(oft_block_size=4, target_modules=[to_k, DOWN],
                                    use_cayley_neumann=False),
        "oft_by_series": OFTConfig(oft_block_size=4, target_modules=[to_q], coft=True, eps=0.5,
                                   block_share=True),
        "boft_of_columns": BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=3,
                                      target_modules=[to_k]),
        "boft_of_channels": BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=2,
                                       target_modules=[before]),
        "ia3_of_peft": IA3Config(target_modules=[to_out, before, behind],
                                 feedforward_modules=[before]),
        "lora_with_bias": LoraConfig(r=2, lora_alpha=3, lora_bias=True,
                                     target_modules=[to_out, before]),
    }
    cases = []
    for offset, (name, config) in enumerate(configs.items()):
        tensors, merged = by_peft(pipe, "unet", config, 60 + offset)
        told = {key: value for key, value in config.to_dict().items() if key in TOLD}
        told["peft_type"] = told["peft_type"].value
        if "feedforward_modules" in told:
            told["feedforward_modules"] = sorted(told["feedforward_modules"])
        cases.append(Case(name, SD15, "peft", tensors, merged, config=told))
    return cases


def peft_forms(pipe) -> list[Case]:
    linear, conv = f"{BLOCK}.attn2.to_k", f"{BLOCK}.attn1.to_q"
    both = [linear, DOWN]
    plain = LoraConfig(r=2, lora_alpha=3, target_modules=[linear, f"{BLOCK}.attn1.to_q", DOWN],
                       use_rslora=True, rank_pattern={f"{BLOCK}.attn1.to_q": 4},
                       alpha_pattern={f"{DOWN}": 5})
    tensors, merged = by_peft(pipe, "unet", plain, 21)
    told = {"lora_alpha": 3, "r": 2, "use_rslora": True, "rank_pattern": plain.rank_pattern,
            "alpha_pattern": plain.alpha_pattern}
    return [
        *forms_of_peft_alone(pipe),
        Case("peft", SD15, "peft", tensors, merged, config=told),
        *peft_cases(pipe, "dora", LoraConfig(r=2, lora_alpha=3, target_modules=both,
                                             use_dora=True), 22, 3.0),
        *peft_cases(pipe, "loha", LoHaConfig(r=3, alpha=2, target_modules=both), 23, 2.0),
        *peft_cases(pipe, "loha_with_cores",
                    LoHaConfig(r=3, alpha=2, target_modules=[DOWN], use_effective_conv2d=True),
                    24, 2.0),
        # alpha is r: of two whole factors LyCORIS does not count it, and peft does
        *peft_cases(pipe, "lokr", LoKrConfig(r=2, alpha=2, target_modules=[conv, linear, DOWN],
                                             decompose_factor=2), 25, 2.0),
        *peft_cases(pipe, "lokr_in_factors",
                    LoKrConfig(r=1, alpha=3, target_modules=both, decompose_both=True,
                               use_effective_conv2d=True), 26, 3.0),
    ]


def formula_forms(pipe) -> list[Case]:
    to_k, to_q, down = f"unet/{BLOCK}.attn2.to_k", f"unet/{BLOCK}.attn1.to_q", f"unet/{DOWN}"
    base = weights(pipe)

    def columns(module: str, seed: int) -> torch.Tensor:
        weight = base[f"{module}.weight"]
        axes = [axis for axis in range(weight.dim()) if axis != 1]
        norms = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        return norms * (1 + 0.3 * gaussian(tuple(norms.shape), seed))

    alphas = lora(pipe, [to_k, to_q], 2, 30, 2.0)  # diffusers takes some of them for all the same
    alphas[to_q]["alpha"] = torch.tensor([3.5])
    cp = lora(pipe, [down], 3, 31, 2.0)
    cp[down] |= {"lora_down.weight": gaussian((3, 8, 1, 1), 32) * 0.3,
                 "lora_mid.weight": gaussian((3, 3, 3, 3), 33) * 0.3}
    by_column = lora(pipe, [to_k, down], 2, 34, 2.0)
    for offset, (module, pieces) in enumerate(by_column.items()):
        pieces["dora_scale"] = columns(module, 36 + offset)
    norm = f"unet/{BLOCK}.norm1"
    full = {to_k: {"diff": gaussian((8, 32), 41) * 0.1},
            down: {"diff": gaussian((8, 8, 3, 3), 42) * 0.1, "diff_b": gaussian((8,), 43) * 0.1},
            norm: {"w_norm": gaussian((8,), 44) * 0.1, "b_norm": gaussian((8,), 45) * 0.1}}
    oft = {to_k: {"oft_blocks": gaussian((4, 2, 2), 51) * 0.3},
           to_q: {"oft_blocks": gaussian((2, 4, 4), 52), "alpha": torch.tensor(0.05),
                  "rescale": 1 + 0.2 * gaussian((8, 1), 53)},
           down: {"oft_blocks": gaussian((2, 4, 4), 54) * 0.3, "alpha": torch.tensor(10.0)}}
    boft = {to_k: {"oft_blocks": gaussian((2, 2, 4, 4), 55) * 0.3},
            down: {"oft_blocks": gaussian((3, 4, 2, 2), 56) * 0.3, "alpha": torch.tensor(0.02),
                   "rescale": 1 + 0.2 * gaussian((8, 1, 1, 1), 57)}}
    ia3 = {to_k: {"weight": gaussian((32,), 58) * 0.2, "on_input": torch.tensor(1)},
           down: {"weight": gaussian((1, 8, 1, 1), 59) * 0.2, "on_input": torch.tensor(0)}}
    glora = {to_k: {"a1.weight": gaussian((32, 2), 71) * 0.3, "a2.weight": gaussian((2, 32), 72),
                    "b1.weight": gaussian((8, 2), 73) * 0.3, "b2.weight": gaussian((2, 32), 74),
                    "alpha": torch.tensor(1.0)},
             to_q: {"a2.weight": gaussian((8, 2), 75) * 0.3, "a1.weight": gaussian((2, 8), 76),
                    "b2.weight": gaussian((8, 2), 77) * 0.3, "b1.weight": gaussian((2, 8), 78)},
             down: {"a1.weight": gaussian((8, 2, 1, 1), 79) * 0.3,
                    "a2.weight": gaussian((2, 8, 1, 1), 80),
                    "b1.weight": gaussian((8, 2, 1, 1), 81) * 0.3,
                    "b2.weight": gaussian((2, 8, 1, 1), 82),
                    "bm.weight": gaussian((2, 2, 3, 3), 83) * 0.3, "alpha": torch.tensor(3.0)}}
    forms = {"glora": (glora, 0.75),
             "alphas": (alphas, 1.0), "cp": (cp, 0.8), "dora_by_column": (by_column, 0.6),
             "full": (full, 0.5), "oft": (oft, 0.75), "boft": (boft, 0.75), "ia3": (ia3, 0.5)}
    return [formula_case(pipe, name, SD15, modules, strength)
            for name, (modules, strength) in forms.items()]


def cases(models: Path) -> list[Case]:
    first, second = layouts.load(models / SD15, None), sdxl_recipes.load(models / SDXL)
    return [*spelling_cases(first), *peft_forms(first), *formula_forms(first),
            *sdxl_cases(second)]


def expected(every: list[Case]) -> Tensors:
    return {f"{case.name}/{name}": tensor.clone().contiguous() for case in every
            for name, tensor in case.merged.items()}


def described(every: list[Case]) -> list[dict[str, object]]:
    return [{"name": case.name, "model": case.model, "file": case.file,
             "strength": case.strength, "made_by": case.made_by} for case in every]


def make(out: Path) -> None:
    every, folder = cases(out), out / FOLDER
    for case in every:
        file = folder / case.file
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in case.tensors.items()}
        save_file(tensors, file, case.metadata)
        if case.config:
            layouts.write_json(file.parent / "adapter_config.json", case.config)
    save_file(expected(every), folder / EXPECTED)
    layouts.write_json(folder / CASES, described(every))


def check(out: Path) -> bool:
    every, folder = cases(out), out / FOLDER
    saved, results = load_file(folder / EXPECTED), expected(every)
    same = json.loads((folder / CASES).read_text()) == described(every)
    same = same and saved.keys() == results.keys()
    same = same and all(torch.equal(saved[name], results[name]) for name in saved)
    for case in every:
        tensors = load_file(folder / case.file)
        same = same and tensors.keys() == case.tensors.keys()
        same = same and all(torch.equal(tensors[name], case.tensors[name]) for name in tensors)
    print(f"{FOLDER}: {len(every)} cases {'are equal' if same else 'DIFFER'}")
    return same
