"""A network of ours in, the same network inside the player out: for exercises that walk through a network's layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from autograder.sandbox.student import Student, StudentModule


def mirror(student: Student, net: nn.Module) -> StudentModule:
    """Build the network in the player from torch's layers, with the same weights, buffers, dtype and modes.

    A module of a class of our own (which must have the layers as its only arguments, and keep them in `body`) becomes the
    given class of the same name. Raises: TypeError for a layer that it cannot rebuild.
    """
    # Without gradients: a call that records them would keep the parameters' first dtype.
    with torch.no_grad():
        twin = _twin(student, net)
        if any(t.dtype == torch.float64 for t in net.state_dict().values()):
            twin.call("double")
    twin.load_state_dict(net.state_dict())
    for name, part in net.named_modules():
        (twin.part(name) if name else twin).set("training", part.training)
    return twin


def _twin(student: Student, net: nn.Module) -> StudentModule:
    name, args, options = _recipe(net)
    return student.module(name, *[_twin(student, a) if isinstance(a, nn.Module) else a for a in args], **options)


def _recipe(net: nn.Module) -> tuple[str, list[Any], dict[str, Any]]:
    kind = type(net).__name__
    if isinstance(net, nn.Sequential):
        return "nn.Sequential", list(net), {}
    if isinstance(net, nn.Linear):
        return "nn.Linear", [net.in_features, net.out_features], {"bias": net.bias is not None}
    if isinstance(net, nn.Conv2d):
        sizes = [net.in_channels, net.out_channels, net.kernel_size, net.stride, net.padding, net.dilation, net.groups]
        return "nn.Conv2d", sizes, {"bias": net.bias is not None}
    if isinstance(net, nn.BatchNorm1d):
        return "nn.BatchNorm1d", [net.num_features], {"momentum": net.momentum}
    if isinstance(net, nn.ReLU | nn.Flatten | nn.Tanh | nn.Sigmoid):
        return f"nn.{kind}", [], {}
    body = getattr(net, "body", None)
    if isinstance(body, nn.Sequential):
        return kind, list(body), {}
    raise TypeError(f"a layer of type {kind} cannot be rebuilt in the player; add it to autograder/grading/mirror.py")
