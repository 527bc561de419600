"""Makes a model of Stable Diffusion 2.1's full size without its numbers: configs, and safetensors
files with the true headers, whose data is a hole in the file.  Enough to plan with."""

import json
import shutil
import struct
from pathlib import Path

WIDTHS, TIME, CONTEXT = [320, 640, 1280, 1280], 1280, 1024
VAE_WIDTHS = [128, 256, 512, 512]
TEXT_WIDTH, TEXT_INNER, TEXT_LAYERS, WORDS, TOKENS = 1024, 4096, 23, 49408, 77

UNET_CONFIG = {
    "_class_name": "UNet2DConditionModel",
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": WIDTHS,
    "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "cross_attention_dim": CONTEXT,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
    "norm_num_groups": 32,
    "sample_size": 64,
}
VAE_CONFIG = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": VAE_WIDTHS,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "scaling_factor": 0.18215,
}
TEXT_CONFIG = {
    "architectures": ["CLIPTextModel"],
    "vocab_size": WORDS,
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": TEXT_INNER,
    "num_hidden_layers": TEXT_LAYERS,
    "num_attention_heads": 16,
    "max_position_embeddings": TOKENS,
    "hidden_act": "gelu",
}

Shapes = dict[str, list[int]]


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    weight = {f"{name}.weight": [outputs, inputs]}
    return weight | ({f"{name}.bias": [outputs]} if bias else {})


def conv(name: str, inputs: int, outputs: int, kernel: int = 3) -> Shapes:
    return {f"{name}.weight": [outputs, inputs, kernel, kernel], f"{name}.bias": [outputs]}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def resnet(name: str, inputs: int, outputs: int, time: int = 0) -> Shapes:
    shapes = norm(f"{name}.norm1", inputs) | conv(f"{name}.conv1", inputs, outputs)
    shapes |= norm(f"{name}.norm2", outputs) | conv(f"{name}.conv2", outputs, outputs)
    if time:
        shapes |= linear(f"{name}.time_emb_proj", time, outputs)
    if inputs != outputs:
        shapes |= conv(f"{name}.conv_shortcut", inputs, outputs, 1)
    return shapes


def transformer(name: str, width: int) -> Shapes:
    shapes = norm(f"{name}.norm", width)
    shapes |= linear(f"{name}.proj_in", width, width) | linear(f"{name}.proj_out", width, width)
    block = f"{name}.transformer_blocks.0"
    for i, context in ((1, width), (2, CONTEXT)):
        shapes |= linear(f"{block}.attn{i}.to_q", width, width, False)
        shapes |= linear(f"{block}.attn{i}.to_k", context, width, False)
        shapes |= linear(f"{block}.attn{i}.to_v", context, width, False)
        shapes |= linear(f"{block}.attn{i}.to_out.0", width, width)
    for i in (1, 2, 3):
        shapes |= norm(f"{block}.norm{i}", width)
    shapes |= linear(f"{block}.ff.net.0.proj", width, 8 * width)
    return shapes | linear(f"{block}.ff.net.2", 4 * width, width)


def unet() -> Shapes:
    shapes = conv("conv_in", 4, WIDTHS[0]) | conv("conv_out", WIDTHS[0], 4)
    shapes |= norm("conv_norm_out", WIDTHS[0])
    shapes |= linear("time_embedding.linear_1", WIDTHS[0], TIME)
    shapes |= linear("time_embedding.linear_2", TIME, TIME)
    skips, width = [WIDTHS[0]], WIDTHS[0]
    for level, out in enumerate(WIDTHS):
        for layer in range(2):
            shapes |= resnet(f"down_blocks.{level}.resnets.{layer}", width, out, TIME)
            if level < 3:
                shapes |= transformer(f"down_blocks.{level}.attentions.{layer}", out)
            width = out
            skips.append(out)
        if level < 3:
            shapes |= conv(f"down_blocks.{level}.downsamplers.0.conv", out, out)
            skips.append(out)
    for layer in range(2):
        shapes |= resnet(f"mid_block.resnets.{layer}", width, width, TIME)
    shapes |= transformer("mid_block.attentions.0", width)
    for level, out in enumerate(reversed(WIDTHS)):
        for layer in range(3):
            name = f"up_blocks.{level}.resnets.{layer}"
            shapes |= resnet(name, width + skips.pop(), out, TIME)
            if level > 0:
                shapes |= transformer(f"up_blocks.{level}.attentions.{layer}", out)
            width = out
        if level < 3:
            shapes |= conv(f"up_blocks.{level}.upsamplers.0.conv", out, out)
    return shapes


def vae_middle(name: str, width: int) -> Shapes:
    shapes = norm(f"{name}.attentions.0.group_norm", width)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= linear(f"{name}.attentions.0.{part}", width, width)
    for layer in range(2):
        shapes |= resnet(f"{name}.resnets.{layer}", width, width)
    return shapes


def vae_half(name: str, widths: list[int], layers: int, sampler: str) -> Shapes:
    shapes, width = {}, widths[0]
    for level, out in enumerate(widths):
        for layer in range(layers):
            shapes |= resnet(f"{name}.{level}.resnets.{layer}", width, out)
            width = out
        if level < 3:
            shapes |= conv(f"{name}.{level}.{sampler}.0.conv", out, out)
    return shapes


def vae() -> Shapes:
    first, last = VAE_WIDTHS[0], VAE_WIDTHS[-1]
    shapes = conv("encoder.conv_in", 3, first) | conv("encoder.conv_out", last, 8)
    shapes |= norm("encoder.conv_norm_out", last) | vae_middle("encoder.mid_block", last)
    shapes |= vae_half("encoder.down_blocks", VAE_WIDTHS, 2, "downsamplers")
    shapes |= conv("decoder.conv_in", 4, last) | conv("decoder.conv_out", first, 3)
    shapes |= norm("decoder.conv_norm_out", first) | vae_middle("decoder.mid_block", last)
    shapes |= vae_half("decoder.up_blocks", VAE_WIDTHS[::-1], 3, "upsamplers")
    return shapes | conv("quant_conv", 8, 8, 1) | conv("post_quant_conv", 4, 4, 1)


def text_encoder() -> Shapes:
    shapes = {"embeddings.token_embedding.weight": [WORDS, TEXT_WIDTH]}
    shapes |= {"embeddings.position_embedding.weight": [TOKENS, TEXT_WIDTH]}
    for layer in range(TEXT_LAYERS):
        name = f"encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{name}.self_attn.{part}", TEXT_WIDTH, TEXT_WIDTH)
        shapes |= norm(f"{name}.layer_norm1", TEXT_WIDTH) | norm(f"{name}.layer_norm2", TEXT_WIDTH)
        shapes |= linear(f"{name}.mlp.fc1", TEXT_WIDTH, TEXT_INNER)
        shapes |= linear(f"{name}.mlp.fc2", TEXT_INNER, TEXT_WIDTH)
    return shapes | norm("final_layer_norm", TEXT_WIDTH)


def write_part(folder: Path, file: str, config: dict, shapes: Shapes) -> None:
    """Float16 tensors one after the other, of which only the header takes room."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in sorted(shapes.items()):
        begin = end
        size = 2
        for extent in shape:
            size *= extent
        end += size
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / file).open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)


def make(target: Path, tiny: Path) -> None:
    """Tokenizer and scheduler are the tiny model's."""
    write_part(target / "unet", "diffusion_pytorch_model.safetensors", UNET_CONFIG, unet())
    write_part(target / "vae", "diffusion_pytorch_model.safetensors", VAE_CONFIG, vae())
    write_part(target / "text_encoder", "model.safetensors", TEXT_CONFIG, text_encoder())
    for part in ("tokenizer", "scheduler"):
        shutil.copytree(tiny / part, target / part)
    shutil.copy(tiny / "model_index.json", target)
