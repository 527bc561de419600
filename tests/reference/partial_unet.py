"""diffusers' UNet evaluated in part: with deep features kept from an earlier evaluation (DeepCache,
Ma et al. 2023, arXiv 2312.00858), or with merged tokens in self-attention (Bolya & Hoffman 2023,
arXiv 2303.17604).  Both are this project's reading of the papers' formulas, in diffusers' modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor

STRIDE = 2  # of the squares that have one token each that others are merged into


def units(block: torch.nn.Module) -> Iterator[Any]:
    """A block's residual blocks, each with the transformer behind it."""
    attentions = getattr(block, "attentions", [None] * len(block.resnets))
    return zip(block.resnets, attentions, strict=True)


def unit_of(x: Tensor, unit: Any, time: Tensor, hidden: Tensor) -> Tensor:
    resnet, attention = unit
    x = resnet(x, time)
    return x if attention is None else attention(x, encoder_hidden_states=hidden)[0]


def way_down(unet: UNet2DConditionModel, sample: Tensor, time: Tensor, hidden: Tensor,
             count: int | None) -> list[Tensor]:
    """The first `count` skip connections, or all."""
    skips = [unet.conv_in(sample)]
    for block in unet.down_blocks:
        for unit in units(block):
            if len(skips) == count:
                return skips
            skips.append(unit_of(skips[-1], unit, time, hidden))
        for downsampler in block.downsamplers or []:
            if len(skips) == count:
                return skips
            skips.append(downsampler(skips[-1]))
    return skips


def predict(unet: UNet2DConditionModel, sample: Tensor, timestep: Tensor, hidden: Tensor,
            branch: int, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """The prediction, and the features that meet skip connection `branch` on the way up.  With
    `kept`, these are taken, and what lies inside of them is not evaluated."""
    time = unet.time_embedding(unet.time_proj(timestep.expand(len(sample))))
    skips = way_down(unet, sample, time, hidden, None if kept is None else branch + 1)
    x = skips[-1]
    if kept is None:
        x = unet.mid_block(x, time, encoder_hidden_states=hidden)
    left = sum(len(block.resnets) for block in unet.up_blocks)
    for block in unet.up_blocks:
        for unit in units(block):
            left -= 1
            if kept is not None and left > branch:
                continue
            if left == branch:
                x = kept = x if kept is None else kept
            x = unit_of(torch.cat([x, skips.pop()], dim=1), unit, time, hidden)
        if left <= branch - 1 or kept is None:
            for upsampler in block.upsamplers or []:
                x = upsampler(x, skips[-1].shape[2:])
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(x))), kept


def merging(x: Tensor, height: int, width: int, ratio: float, seed: int) -> tuple[Any, Any]:
    """Functions that merge tokens [B, height * width, D] and put the merged ones back.  In each
    square of 2x2 a token is drawn that others are merged into; of the others the given share of
    all tokens, those that are the most like one of these by cosine, is merged into their mean."""
    rows, columns = height // STRIDE, width // STRIDE
    drawn = torch.randint(STRIDE * STRIDE, (rows, columns),
                          generator=torch.Generator().manual_seed(seed))
    y = torch.arange(rows)[:, None] * STRIDE + drawn // STRIDE
    chosen = (y * width + torch.arange(columns) * STRIDE + drawn % STRIDE).flatten()
    is_chosen = torch.zeros(height * width, dtype=torch.bool)
    is_chosen[chosen] = True
    targets, sources = is_chosen.nonzero().flatten(), (~is_chosen).nonzero().flatten()
    unit = torch.nn.functional.normalize(x, dim=-1)
    alike, nearest = (unit[:, sources] @ unit[:, targets].mT).max(dim=-1)
    count = min(int(ratio * height * width), len(sources))
    order = alike.argsort(dim=-1, descending=True)
    merged, kept = order[:, :count], order[:, count:]
    into = nearest.gather(1, merged)

    def rows_of(tokens: Tensor, index: Tensor) -> Tensor:
        return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))

    def merge(tokens: Tensor) -> Tensor:
        others = tokens[:, sources]
        means = tokens[:, targets].scatter_reduce(
            1, into[..., None].expand(-1, -1, tokens.shape[-1]), rows_of(others, merged), "mean")
        return torch.cat([rows_of(others, kept), means], dim=1)

    def restore(tokens: Tensor) -> Tensor:
        left = len(sources) - count
        result = tokens.new_empty(len(tokens), height * width, tokens.shape[-1])
        result[:, targets] = tokens[:, left:]
        others = torch.empty_like(result[:, sources])
        for b in range(len(tokens)):
            others[b, kept[b]] = tokens[b, :left]
            others[b, merged[b]] = tokens[b, left:][into[b]]
        result[:, sources] = others
        return result

    return merge, restore


@contextmanager
def merged_tokens(unet: UNet2DConditionModel, ratio: float, seed: int,
                  size: tuple[int, int]) -> Iterator[None]:
    """In the self-attention of what works on maps of `size`."""
    handles = []

    def patch(block: BasicTransformerBlock) -> None:
        plain, hidden = block.attn1.forward, []

        def attend(x: Tensor, **options: Any) -> Tensor:
            if x.shape[1] != size[0] * size[1]:
                return plain(x, **options)
            merge, restore = merging(hidden.pop(), *size, ratio, seed)
            return restore(plain(merge(x), **options))

        block.attn1.forward = attend
        handles.append(block.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0])))
        handles.append(block)

    for module in unet.modules():
        if isinstance(module, BasicTransformerBlock):
            patch(module)
    try:
        yield
    finally:
        for handle in handles:
            if isinstance(handle, BasicTransformerBlock):
                del handle.attn1.forward
            else:
                handle.remove()
