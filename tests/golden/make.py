"""Makes the .npz files beside it: what torchvision's models and the released skimmer answer to generated weights.

    python -m venv torch_env && torch_env/bin/pip install numpy torch==2.14.1 torchvision==0.29.1
    git clone https://github.com/facebookresearch/Listen-to-Look official
    torch_env/bin/python -m tests.golden.make --official=official

Run once, on x86-64; the tests need the files and not torch.
"""

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import torch
import torchvision

from tests.golden import generator

HERE = Path(__file__).parent


def fill(net: torch.nn.Module) -> torch.nn.Module:
    """Puts generated weights into a net, which is then in evaluation mode."""
    state = {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    made = {name: torch.from_numpy(x) for name, x in generator.weights(state).items()}
    net.load_state_dict(made, strict=False)
    return net.eval()


def image(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator.uniform(name, shape))


def stages(net: torch.nn.Module, x: torch.Tensor, names: list[str]) -> dict[str, np.ndarray]:
    """The outputs of some modules, and of the net as "out"."""
    found: dict[str, np.ndarray] = {}
    modules = dict(net.named_modules())
    for name in names:
        keep = lambda module, given, y, name=name: found.update({name: y.detach().numpy().copy()})
        modules[name].register_forward_hook(keep)
    with torch.no_grad():
        found["out"] = net(x).numpy()
    return found


def r2plus1d() -> dict[str, np.ndarray]:
    net = fill(torchvision.models.video.r2plus1d_18(num_classes=400))
    layers = ["layer1", "layer2", "layer3", "layer4", "avgpool"]
    return stages(net, image("clips", 1, 3, 5, 28, 36), ["stem", *layers])


def r2plus1d_step() -> dict[str, np.ndarray]:
    """One step of SGD: the loss, and of every parameter's change its norm and some projections.

    In float64: deep under batch statistics, torch's own float32 gradients are half a percent off.
    """
    net = fill(torchvision.models.video.r2plus1d_18(num_classes=400)).train().double()
    before = {name: x.detach().clone() for name, x in net.named_parameters()}
    labels = torch.tensor([3, 211])
    loss = torch.nn.functional.cross_entropy(net(image("batch", 2, 3, 4, 32, 32).double()), labels)
    loss.backward()
    torch.optim.SGD(net.parameters(), generator.LR).step()
    found = {"loss": loss.detach().numpy()}
    for name, x in net.named_parameters():
        change = (x.detach() - before[name]).numpy()
        found[f"{name}/norm"] = np.linalg.norm(change)
        found[f"{name}/projections"] = (generator.signs(name, change.shape, 8) * change).reshape(8, -1).sum(1)
    return found


def resnet() -> dict[str, np.ndarray]:
    net = fill(torchvision.models.resnet18())
    return stages(net, image("images", 2, 3, 46, 38), ["maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"])


def audio(networks: types.ModuleType) -> dict[str, np.ndarray]:
    net = fill(networks.AudioNet(torchvision.models.resnet18()))
    names = {"maxpool": 3, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    found = stages(net, image("log_mel", 1, 1, 101, 40), [f"feature_extraction.{i}" for i in names.values()])
    return {name: found[f"feature_extraction.{i}"] for name, i in names.items()} | {"out": found["out"]}


def skimmer(models: types.ModuleType, lengths: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The released skimmer over videos of these lengths, padded to one more than the longest."""
    args = types.SimpleNamespace(num_classes=200, with_replacement=True, mean_feature_as_start=True)
    args.feature_interpolate = False
    fusion, classifier = models.ImageAudioModel(), models.ClassifierNet(512, 200)
    net = fill(models.AudioPreviewModel(fusion, classifier, args))
    size = max(lengths) + 1
    mask = (torch.arange(size) < torch.tensor(lengths)[:, None]).float()
    banks = [image(name, len(lengths), size, 512) * mask[..., None] for name in ("image_bank", "audio_bank")]
    # It forbids one position at random before the first look; here that is always the padding at the end.
    torch.rand = lambda shape: 9 * torch.nn.functional.one_hot(torch.full(shape[:1], size - 1), size).float()
    with torch.no_grad():
        logits, looks, heads = net(*banks, mask, 10)
        means = torch.cumsum(looks.permute(2, 0, 1), 0) / torch.arange(1, 11)[:, None, None]
        found = {"logits": logits, "step_logits": classifier(means), "head_logits": torch.stack(heads)}
        found["fused"] = fusion(banks[0][:, 0], banks[1][:, 0])
    return {name: x.numpy() for name, x in found.items()} | {"lengths": np.array(lengths)}


def save_files() -> None:
    """Small files in both of torch's formats, wrapped as a training program wraps them."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    with torch.no_grad():
        for name, x in net.named_parameters():
            x.copy_(image(name, *x.shape))
    optimizer = torch.optim.SGD(net.parameters(), generator.LR, momentum=0.9)
    net(image("small", 5, 3)).sum().backward()
    optimizer.step()
    whole = image("strided", 6, 4)
    state = {f"module.{name}": x for name, x in net.state_dict().items()}
    state |= {"module.turned": whole.T, "module.cut": whole[2:4, 1:3], "module.half": whole.half()}
    state |= {"module.brain": whole.bfloat16(), "module.long": torch.arange(5), "module.wide": whole.double()}
    wrapped = {
        "epoch": 3,
        "model": state,
        "optimizer": optimizer.state_dict(),
        "namespace": argparse.Namespace(lr=0.1, device=torch.device("cpu")),
    }
    torch.save(wrapped, HERE / "zip.pth")
    torch.save(wrapped, HERE / "stream.pth", _use_new_zipfile_serialization=False)
    plain = {name.removeprefix("module."): x.float().numpy() for name, x in state.items()}
    np.savez_compressed(HERE / "files.npz", **plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", required=True, help="checkout of the released code")
    sys.path.insert(0, parser.parse_args().official)
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")  # it is imported there and not used
    torch.Tensor.cuda = lambda self: self
    torch.set_num_threads(1)
    from models import models, networks

    found = {
        "r2plus1d": r2plus1d(),
        "r2plus1d_step": r2plus1d_step(),
        "resnet": resnet(),
        "audio": audio(networks),
        "skimmer": skimmer(models, (23, 12, 16)),
    }
    for name, arrays in found.items():
        np.savez_compressed(HERE / f"{name}.npz", **arrays)
    save_files()


if __name__ == "__main__":
    main()
