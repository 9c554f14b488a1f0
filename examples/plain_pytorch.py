"""A student in a plain PyTorch loop: the store gives pictures, labels and the teacher's logits; the loop is yours.

From a shell, after `kdcache demo`:

    python examples/plain_pytorch.py kdcache-demo/store --method rld --out student.pt
"""

import argparse
from pathlib import Path

import torch

from cache_kd import make_method, open_store, training_loss
from cache_kd.distill import needs_of
from cache_kd.models.zoo import build


def main() -> None:
    """Train and save one student."""
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    store = open_store(options.store)
    method = make_method(options.method)
    needs = needs_of(method)
    if needs.head or needs.parameters:
        raise SystemExit(
            f"{method.name} brings weights of its own; only kdcache train --method {method.name} trains them."
        )
    # any torch.nn.Module from images [batch, channels, height, width] to logits [batch, classes]
    student = build("resnet8", classes=store.manifest.classes, channels=store.source.channels).to(device)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)

    for epoch in range(options.epochs):
        student.train()
        losses = []
        # the views of this epoch, normalised as the teacher had them, in an order that the seed decides
        for batch in store.loader(epoch, batch_size=128, views=method.views):
            images, labels, teacher = (part.to(device) for part in batch)
            # one loss per sample: hard_weight x cross-entropy + soft_weight x distillation, as the method has them
            loss = training_loss(method, student(images), teacher, labels).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        print(f"epoch {epoch + 1}/{options.epochs}  loss {torch.stack(losses).mean():.4f}")

    torch.save(student.state_dict(), options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="what kdcache dump wrote; kdcache demo leaves kdcache-demo/store")
    parser.add_argument("--method", default="kd", help="see kdcache methods")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("student.pt"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
