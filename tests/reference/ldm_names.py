"""The names that single-file checkpoints (LDM, SGM) have for diffusers' tensors."""

import re

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
          "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
UNET_ENDS = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
             "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
             "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
             "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}


def unet_name(name: str, layers: int, attending: set[int]) -> str:
    """`attending`: the up blocks with attention."""
    module, _, leaf = name.rpartition(".")
    if module in UNET_ENDS:
        return f"{UNET_ENDS[module]}.{leaf}"
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", module):
        kind, index, rest = found.groups()
        if kind == "attentions":
            return f"middle_block.1.{rest}.{leaf}"
        return f"middle_block.{2 * int(index)}.{RESNET[rest]}.{leaf}"
    side, level, kind, index, rest = re.fullmatch(
        r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", module).groups()
    first = int(level) * (layers + 1) + (1 if side == "down" else 0)
    block = f"{'input' if side == 'down' else 'output'}_blocks.{first + int(index)}"
    if kind == "resnets":
        return f"{block}.0.{RESNET[rest]}.{leaf}"
    if kind == "attentions":
        return f"{block}.1.{rest}.{leaf}"
    if kind == "downsamplers":
        return f"input_blocks.{first + layers}.0.op.{leaf}"
    return f"output_blocks.{first + layers}.{2 if int(level) in attending else 1}.conv.{leaf}"


def vae_name(name: str, levels: int) -> str:
    module, _, leaf = name.rpartition(".")
    module = module.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    module = re.sub(r"mid_block\.resnets\.(\d)",
                    lambda m: f"mid.block_{int(m[1]) + 1}", module)
    if found := re.fullmatch(r"(.+)\.mid_block\.attentions\.0\.(.+)", module):
        return f"{found[1]}.mid.attn_1.{ATTENTION[found[2]]}.{leaf}"
    module = re.sub(r"down_blocks\.(\d)", r"down.\1", module)
    module = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}", module)
    module = re.sub(r"resnets\.(\d)", r"block.\1", module)
    module = re.sub(r"(down|up)samplers\.0", r"\1sample", module)
    return f"{module}.{leaf}"


def open_clip_name(name: str) -> str:
    """Of three projections that the checkpoint holds as one, the name of that one."""
    name = name.removeprefix("text_model.")
    ends = {"embeddings.token_embedding.weight": "token_embedding.weight",
            "embeddings.position_embedding.weight": "positional_embedding",
            "text_projection.weight": "text_projection"}
    if name in ends:
        return ends[name]
    if name.startswith("final_layer_norm"):
        return name.replace("final_layer_norm", "ln_final")
    index, rest = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", name).groups()
    module, _, leaf = rest.rpartition(".")
    if module in OPEN_CLIP:
        return f"transformer.resblocks.{index}.{OPEN_CLIP[module]}.{leaf}"
    return f"transformer.resblocks.{index}.attn.in_proj_{leaf}"
