"""The released skimmer on the CPU: answers "train BATCH" and "evaluate BATCH" with the seconds that one batch took.

Its numbers: `official`, a checkout of the released code; `positions`, `steps`.
"""

import json
import sys
import time
import types

import torch


def main() -> None:
    numbers = json.loads(sys.argv[1])
    sys.path.insert(0, numbers["official"])
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")  # it is imported there and not used
    torch.Tensor.cuda = lambda self: self
    from models import models

    fusion, classifier = models.ImageAudioModel(), models.ClassifierNet(512, 200)
    args = types.SimpleNamespace(
        num_classes=200, with_replacement=True, mean_feature_as_start=True, feature_interpolate=False
    )
    net = models.AudioPreviewModel(fusion, classifier, args)
    for x in fusion.parameters():
        x.requires_grad = False  # --freeze_imageAudioNet
    trained = [x for x in net.parameters() if x.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)

    def batch(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        shape = (size, numbers["positions"], 512)
        return torch.randn(shape), torch.randn(shape), torch.ones(shape[:2])

    def train(size: int) -> None:
        net.train()
        optimizer.zero_grad()
        logits = net(*batches[size], numbers["steps"])[0]
        torch.nn.functional.cross_entropy(logits, torch.arange(size) % 200).backward()
        optimizer.step()

    def evaluate(size: int) -> None:
        net.eval()
        with torch.no_grad():
            net(*batches[size], numbers["steps"])

    batches = {size: batch(size) for size in numbers["batches"]}
    print("ready", flush=True)
    for line in sys.stdin:
        what, size = line.split()
        since = time.perf_counter()
        {"train": train, "evaluate": evaluate}[what](int(size))
        print(time.perf_counter() - since, flush=True)


if __name__ == "__main__":
    main()
