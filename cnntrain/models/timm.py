"""Every classification network of timm, fitted to grey images, small images and any classes."""

from __future__ import annotations

import copy
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from torch import Tensor, nn

from cnntrain.errors import UserError, describe_error, did_you_mean
from cnntrain.models.adapt import (
    PATCH,
    ImageSize,
    cant_take,
    height_and_width,
    is_small,
    on_meta,
    take_small_images,
    takes,
    unknown_weights,
)
from cnntrain.runtime.imports import needed
from cnntrain.runtime.ranks import Reporter

FILES = ("model.safetensors", "pytorch_model.bin")  # in which the hub keeps weights, the better one first
PATIENCE_SECONDS = 10.0


class Timm(nn.Module):
    """A network of timm (Wightman 2019, PyTorch Image Models) for the classes and the images.

    Args:
        name: the name as ``timm.list_models()`` has it, such as ``resnet18`` or ``vit_tiny_patch16_224``.
        weights: pretrained ones, such as ``DEFAULT`` or a tag of them, ``a1_in1k``, downloaded if they are
            not here; None for new ones. Their head is replaced unless it has as many classes.
        small: take small images in at full size: the first convolution is 3×3 without stride, and the first
            pooling is left out; a vision transformer cuts them into patches of 4×4 pixels. ``auto``: for up
            to 64 pixels, unless the weights are pretrained.
        in_channels: 1 for grey, 3 for colour. Of pretrained weights, grey takes the sum over the colours.
        image_size: side of square images in pixels, or height and width.
        num_classes: number of classes.

    Raises:
        UserError: timm is not installed; it has no such network, or no such weights; they can't be
            downloaded.
    """

    def __init__(
        self,
        name: str,
        weights: str | None,
        small: bool | str,
        in_channels: int,
        image_size: ImageSize,
        num_classes: int,
    ) -> None:
        super().__init__()
        timm = imported()
        architecture, _, tag = name.partition(".")
        check_name(timm, architecture)
        full_name, own = architecture, {}
        if weights and not on_meta():
            full_name = f"{architecture}.{tag if weights == 'DEFAULT' and tag else weights}".removesuffix(
                ".DEFAULT"
            )
            own = pretrained(timm, full_name, weights)
        is_small_stem = is_small(small, image_size, weights)
        config = timm.get_pretrained_cfg(architecture)
        is_fixed = config is not None and config.fixed_input_size  # it learns a position for each patch
        # Not every such network can be asked for another size of patches, or of images.
        sized: list[dict[str, Any]] = [{"img_size": image_size}, {}] if is_fixed else [{}]
        if is_fixed and is_small_stem:
            sized.insert(0, {"img_size": image_size, "patch_size": PATCH})
        fitted = {"in_chans": in_channels, "num_classes": num_classes, **own}
        self.network = first_that_takes(timm, full_name, sized, fitted, image_size)
        if is_small_stem and not is_fixed:
            plain = copy.deepcopy(self.network)
            take_small_images(self.network)
            # Behind a stem of several branches, which have to agree, it is left as it was.
            if small == "auto" and not takes(self.network, (in_channels, *height_and_width(image_size))):
                self.network = plain

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, C, H, W), to logits (N, num_classes)."""
        return self.network(x)


def imported() -> Any:
    """Import timm, or raise an error that says how to install it."""
    try:
        import timm
    except ImportError as error:
        needed("timm", "model=timm")
        raise UserError(f"model=timm: timm can't be imported: {describe_error(error)}") from error
    return timm


def check_name(timm: Any, architecture: str) -> None:
    """Raise a UserError if timm has no such network; none is fetched from elsewhere."""
    if not timm.is_model(architecture):
        near = did_you_mean(architecture, timm.list_models())
        of_all = f"; it has {len(timm.list_models()):,}: python -c 'import timm; print(timm.list_models())'"
        raise UserError(f"model.name={architecture}: timm has no such network{near or of_all}")


def first_that_takes(
    timm: Any, name: str, sized: list[dict[str, Any]], fitted: dict[str, Any], image_size: ImageSize
) -> nn.Module:
    """Return a network, with the first of several ways to ask for its size that it knows."""
    for arguments in sized:
        try:
            return timm.create_model(name, **arguments, **fitted)
        except TypeError:  # it has no such argument
            if arguments is sized[-1]:
                raise
        except (AssertionError, ValueError, ArithmeticError, RuntimeError) as error:  # patches do not fill it
            made_for = timm.get_pretrained_cfg(name).input_size[-1]
            raise UserError(cant_take(name, image_size, error, made_for)) from error
    raise AssertionError("the last way always returns or raises")


def pretrained(timm: Any, name: str, weights: str) -> dict[str, Any]:
    """Return the arguments that make timm load pretrained weights, and announce a download first."""
    architecture = name.partition(".")[0]
    offered = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if not offered:
        raise UserError(f"model.weights={weights}: timm has none for {architecture}: model.weights=null")
    if "." in name and name.partition(".")[2] not in offered:
        raise UserError(unknown_weights(weights, architecture, [*offered, "DEFAULT"]))
    config = timm.get_pretrained_cfg(name)
    if not config.hf_hub_id or config.custom_load:
        Reporter.remark(f"timm loads the weights of {name}: {config.url or config.hf_hub_id}")
        return {"pretrained": True}
    return {
        "pretrained": True,
        "pretrained_cfg_overlay": {"file": str(file_of(config.hf_hub_id, name, weights))},
    }


def file_of(repository: str, name: str, weights: str) -> Path:
    """Return the file of weights from the Hugging Face hub: the one in its cache, or downloaded."""
    import huggingface_hub as hub

    for file in FILES:
        cached = hub.try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    url, folder = hub.hf_hub_url(repository, FILES[0]), hub.constants.HF_HUB_CACHE
    Reporter.remark(f"downloading the weights of {name}: {url} to {folder}")
    try:
        reach(url)  # since the hub's own client tries for a minute, and says so at each try
        found = hub.file_exists(repository, FILES[0])
        return Path(hub.hf_hub_download(repository, FILES[0] if found else FILES[1]))
    except Exception as error:  # the hub's client raises those of several libraries
        reason = getattr(error, "reason", None) or describe_error(error)
        raise UserError(
            f"model.weights={weights}: {url} can't be downloaded ({reason})\n"
            f"put its repository into {folder}, or train without: model.weights=null"
        ) from error


def reach(url: str) -> None:
    """Raise a URLError if nobody answers at a place."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
    except HTTPError:  # an answer, whatever it is
        return
    except TimeoutError as error:
        raise URLError("no answer") from error
