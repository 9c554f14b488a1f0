"""Pictures like photographs: smooth patches with a little grain."""

import torch


def natural(count, height, width, channels=3):
    """uint8 [count, height, width, channels], the same ones at every call."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(count, channels, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(patches, (height, width), mode="bilinear")
    grain = torch.randn(count, channels, height, width, generator=generator)
    return (300 * smooth - 20 + 5 * grain).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def by_torchvision(kernel, pixels, *arguments):
    """One of torchvision's functions, picture by picture as it is used; it has the channels first."""
    return torch.stack([kernel(picture.permute(2, 0, 1).contiguous(), *arguments) for picture in pixels]).permute(
        0, 2, 3, 1
    )


def difference(ours, theirs):
    """Share of values that differ, and by how much at most."""
    gap = (ours.int() - theirs.int()).abs()
    return (gap > 0).float().mean().item(), gap.max().item()
