"""torchvision's R(2+1)D-18: answers "forward" and "train" with the seconds that one batch took."""

import json
import sys
import time

import torch
import torchvision


def main() -> None:
    numbers = json.loads(sys.argv[1])
    net = torchvision.models.video.r2plus1d_18(num_classes=400)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
    clips = torch.randn(numbers["batch"], 3, 16, 112, 112)
    labels = torch.randint(0, 400, (numbers["batch"],))

    def forward() -> None:
        net.eval()
        with torch.inference_mode():
            net(clips)

    def train() -> None:
        net.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(clips), labels).backward()
        optimizer.step()

    print("ready", flush=True)
    for line in sys.stdin:
        since = time.perf_counter()
        {"forward": forward, "train": train}[line.strip()]()
        print(time.perf_counter() - since, flush=True)


if __name__ == "__main__":
    main()
