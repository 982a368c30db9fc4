"""BERTMean_L2h12 and MixNeXtVLAD in PyTorch: scaled_dot_product_attention, uint8 frames made floats on the device."""

import torch
from torch import nn
from torch.nn import functional

SIZES = {"rgb": 1024, "audio": 128}
EPSILON = 1e-6


def frames_of(inputs):
    """Dict of float frames (B, T, size) by name."""
    return {name: inputs[name].float() * (4 / 255) + (4 / 512 - 2) for name in SIZES}


class Mixture(nn.Module):
    """Mixture of five experts a class, as probabilities."""

    def __init__(self, size, num_classes, num_mixtures=5):
        super().__init__()
        self.num_classes = num_classes
        self.gates = nn.Linear(size, num_classes * (num_mixtures + 1), bias=False)
        self.experts = nn.Linear(size, num_classes * num_mixtures)

    def forward(self, vector):
        gates = self.gates(vector).view(len(vector), self.num_classes, -1).float().softmax(-1)
        experts = self.experts(vector).view(len(vector), self.num_classes, -1).float().sigmoid()
        return (gates[..., :-1] * experts).sum(-1)


class Block(nn.Module):
    """A post-layer-norm transformer block."""

    def __init__(self, size, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.wide, self.narrow = nn.Linear(size, 3072), nn.Linear(3072, size)
        self.attention_norm, self.norm = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, frames, mask):
        count, length, size = frames.shape
        query, key, value = self.qkv(frames).view(count, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None], dropout_p=self.dropout if self.training else 0.0
        )
        attended = self.out(attended.transpose(1, 2).reshape(count, length, size))
        frames = self.attention_norm(frames + functional.dropout(attended, self.dropout, self.training))
        narrow = self.narrow(functional.gelu(self.wide(frames), approximate="tanh"))
        return self.norm(frames + functional.dropout(narrow, self.dropout, self.training))


class BertMean(nn.Module):
    """BERTMean_L2h12."""

    def __init__(self, num_classes):
        super().__init__()
        size = sum(SIZES.values())
        self.blocks = nn.ModuleList([Block(size, 12) for _ in range(2)])
        self.head = Mixture(size, num_classes)

    def forward(self, inputs):
        frames = torch.cat(list(frames_of(inputs).values()), dim=-1)
        mask = torch.arange(frames.shape[1], device=frames.device)[None] < inputs["num_frames"][:, None]
        for block in self.blocks:
            frames = block(frames, mask)
        weights = mask[..., None].to(frames.dtype)
        return self.head((frames * weights).sum(1) / weights.sum(1))

    def loss(self, inputs, labels):
        """Cross-entropy, summed over classes."""
        return entropy(self(inputs), labels)


def entropy(probabilities, labels):
    """Cross-entropy of probabilities, summed over classes, averaged over the batch."""
    positive = labels * torch.log(probabilities + EPSILON)
    return -(positive + (1 - labels) * torch.log(1 - probabilities + EPSILON)).sum(-1).mean()


class NeXtVLAD(nn.Module):
    """One modality's descriptor."""

    def __init__(self, size, num_clusters, groups):
        super().__init__()
        self.num_clusters, self.groups, self.group_size = num_clusters, groups, 2 * size // groups
        self.widen = nn.Linear(size, 2 * size)
        self.attention = nn.Linear(2 * size, groups)
        self.assignment = nn.Linear(2 * size, groups * num_clusters, bias=False)
        self.norm = nn.BatchNorm1d(groups * num_clusters)
        self.centres = nn.Parameter(torch.randn(self.group_size, num_clusters) * size**-0.5)
        self.output_norm = nn.BatchNorm1d(self.group_size * num_clusters)

    def forward(self, frames, mask):
        count, length, _ = frames.shape
        wide = self.widen(frames)
        attention = self.attention(wide).sigmoid() * mask[..., None]
        logits = self.norm(self.assignment(wide).flatten(0, 1)).view(count, length * self.groups, self.num_clusters)
        assigned = logits.softmax(-1) * attention.reshape(count, -1, 1)
        grouped = wide.view(count, length * self.groups, self.group_size)
        vlad = torch.bmm(grouped.transpose(1, 2), assigned.to(grouped.dtype))
        vlad = vlad - assigned.sum(1, keepdim=True) * self.centres
        return self.output_norm(functional.normalize(vlad.float(), dim=1).flatten(1))


class Branch(nn.Module):
    """Both modalities' descriptors, a hidden layer, a gate and the logits."""

    def __init__(self, num_classes):
        super().__init__()
        self.pools = nn.ModuleDict({"rgb": NeXtVLAD(1024, 112, 8), "audio": NeXtVLAD(128, 56, 4)})
        joined = sum(pool.group_size * pool.num_clusters for pool in self.pools.values())
        self.drop, self.hidden, self.norm = nn.Dropout(0.5), nn.Linear(joined, 2048, bias=False), nn.BatchNorm1d(2048)
        self.squeeze, self.squeeze_norm = nn.Linear(2048, 128, bias=False), nn.BatchNorm1d(128)
        self.excite, self.logits = nn.Linear(128, 2048, bias=False), nn.Linear(2048, num_classes)

    def forward(self, frames, mask):
        vlad = torch.cat([pool(frames[name], mask) for name, pool in self.pools.items()], dim=-1)
        vector = self.norm(self.hidden(self.drop(vlad)))
        gates = self.excite(functional.relu(self.squeeze_norm(self.squeeze(vector)))).sigmoid()
        return self.logits(vector * gates).float()


class MixNeXtVLAD(nn.Module):
    """Three branches, a gate, and distillation from the mixture."""

    def __init__(self, num_classes):
        super().__init__()
        self.branches = nn.ModuleList([Branch(num_classes) for _ in range(3)])
        self.gate = nn.Linear(sum(SIZES.values()), 3)

    def logits(self, inputs):
        """(mixture (B, C), list of the branches' (B, C))."""
        frames = frames_of(inputs)
        mask = torch.arange(frames["rgb"].shape[1], device=frames["rgb"].device)[None] < inputs["num_frames"][:, None]
        weights = mask[..., None].float()
        mean = (torch.cat(list(frames.values()), dim=-1) * weights).sum(1) / weights.sum(1)
        gates = self.gate(mean).float().softmax(-1)
        each = [branch(frames, mask) for branch in self.branches]
        return sum(gates[:, place, None] * logits for place, logits in enumerate(each)), each

    def forward(self, inputs):
        return self.logits(inputs)[0].sigmoid()

    def loss(self, inputs, labels, temperature=3.0):
        """Cross-entropy of mixture and branches, and what divides them."""
        mixed, each = self.logits(inputs)
        total = entropy(mixed.sigmoid(), labels)
        teacher = functional.log_softmax(mixed / temperature, -1)
        for logits in each:
            student = functional.log_softmax(logits / temperature, -1)
            divergence = (teacher.exp() * (teacher - student)).sum(-1).mean()
            total = total + entropy(logits.sigmoid(), labels) + temperature**2 * divergence
        return total


MODELS: dict[str, type[nn.Module]] = {"BERTMean_L2h12": BertMean, "MixNeXtVLAD_iter60": MixNeXtVLAD}
