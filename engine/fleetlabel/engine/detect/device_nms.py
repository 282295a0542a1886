"""Candidates and suppression on the device, in fixed shapes and without asking the host: fit for CUDA graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fleetlabel.engine.detect.heads import Head

if TYPE_CHECKING:
    import torch

# Whether a box goes depends on a better one that goes because of a yet better one: so deep at most. Street scenes have
# four to six; what is deeper is told by ``settled``.
ROUNDS = 16


class DeviceCandidates(NamedTuple):
    """The best-scored boxes of every network input, by falling score; of equal scores, in the network's order.

    Attributes:
        xyxy_px: (B, k, 4) float32 in network pixels.
        score: (B, k) float32.
        class_id: (B, k) int64.
        valid: (B, k) bool, False for what scores too low or is not finite.
        n_above: (B,) int64 how many there are; more than k: some are missing.
    """

    xyxy_px: torch.Tensor
    score: torch.Tensor
    class_id: torch.Tensor
    valid: torch.Tensor
    n_above: torch.Tensor


def read_head_on_device(output: torch.Tensor, head: Head, conf: float, k: int) -> DeviceCandidates:
    """What ``read_head`` gives on the CPU, for a whole batch.

    Args:
        output: (B, 4 + n_classes, A) or (B, N, 6), by ``head``.
        conf: scores must be above it.
        k: at most this many per input.
    """
    import torch

    output = output.float()
    if head is Head.END_TO_END:
        corners, score, class_id = output[..., :4], output[..., 4], output[..., 5].long()
    else:
        score, class_id = output[:, 4:].max(dim=1)
        centre, half = output[:, :2], output[:, 2:4] / 2
        corners = torch.cat([centre - half, centre + half], dim=1).transpose(1, 2)
    above = (score > conf) & torch.isfinite(score) & torch.isfinite(corners).all(dim=-1)
    k = min(k, score.shape[1])
    ranked, order = torch.where(above, score, -1.0).sort(dim=1, descending=True, stable=True)
    order = order[:, :k]
    return DeviceCandidates(
        xyxy_px=corners.gather(1, order[..., None].expand(-1, -1, 4)),
        score=ranked[:, :k],
        class_id=class_id.gather(1, order),
        valid=above.gather(1, order),
        n_above=above.sum(dim=1),
    )


def suppress_on_device(
    found: DeviceCandidates, bounds_px: torch.Tensor, iou: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which candidates stay (B, k), and whether that is certain (B,): greedy suppression within each class.

    From the best-scored down, a box goes if it overlaps one that stays by more than ``iou``. Round by round
    every box goes that overlaps a better one which stayed in the round before; as soon as a round changes nothing, this
    is what the greedy order gives.

    Args:
        found: candidates.
        bounds_px: (B, 4) x1 y1 x2 y2 of the picture in its network input; boxes are cut to it first.
        iou: in (0, 1].
    """
    import torch

    low, high = bounds_px[:, None, :2], bounds_px[:, None, 2:]
    first = torch.minimum(torch.maximum(found.xyxy_px[..., :2], low), high)
    last = torch.minimum(torch.maximum(found.xyxy_px[..., 2:], low), high)
    valid = found.valid & (last > first).all(dim=-1)
    area = (last - first).prod(dim=-1)
    sides = torch.minimum(last[:, :, None], last[:, None]) - torch.maximum(first[:, :, None], first[:, None])
    both = sides.clamp_(min=0).prod(dim=-1)  # (B, better, box)
    overlaps = both > iou * (area[:, :, None] + area[:, None] - both)
    overlaps &= found.class_id[:, :, None] == found.class_id[:, None]
    counted = torch.float16 if both.is_cuda else torch.float32  # matrix products of booleans there are none
    better = overlaps.triu(diagonal=1).to(counted)
    keep, before = valid, valid
    for _ in range(ROUNDS):
        before, keep = keep, valid & (torch.bmm(keep[:, None].to(counted), better)[:, 0] == 0)
    return keep, (keep == before).all(dim=1)
