"""Decoders of segmentation_models_pytorch on encoders that were trained on photographs."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from cnntrain.errors import UserError, describe_error, did_you_mean
from cnntrain.models.adapt import on_meta
from cnntrain.models.unet import padded
from cnntrain.runtime.imports import needed
from cnntrain.runtime.ranks import Reporter


class SMP(nn.Module):
    """A network of segmentation_models_pytorch (Iakubovskii 2019), for images of any size.

    Args:
        name: its decoder, such as ``unet``, ``unetplusplus``, ``fpn`` or ``deeplabv3plus``.
        encoder: its encoder, such as ``resnet18`` or ``tu-convnext_tiny``, where ``tu-`` stands for timm.
        weights: pretrained ones of the encoder, such as ``imagenet``, downloaded if they are not here; None
            for new ones.
        in_channels: 1 for grey, 3 for colour. Of pretrained weights, grey takes the sum over the colours.
        num_classes: number of classes.

    Raises:
        UserError: the package is not installed; there is no such network, encoder or weights; they can't be
            downloaded.
    """

    encoder: ClassVar[tuple[str, ...]] = ("network.encoder",)  # which init_from takes from other models

    def __init__(
        self, name: str, encoder: str, weights: str | None, in_channels: int, num_classes: int
    ) -> None:
        super().__init__()
        smp = imported()
        check_names(smp, name, encoder)
        if weights and not on_meta():
            Reporter.remark(
                f"model.weights={weights}: those of {encoder} are downloaded if they are not here"
            )
        arguments: dict[str, Any] = {
            "encoder_name": encoder,
            "encoder_weights": None if on_meta() else weights,
            "in_channels": in_channels,
            "classes": num_classes,
        }
        try:
            self.network = smp.create_model(name, **arguments)
        except Exception as error:  # those of the hub's client, and of networks that do not take an encoder
            given = f"model.encoder={encoder}" + (f" model.weights={weights}" if weights else "")
            raise UserError(f"model.name={name} {given} is not possible: {describe_error(error)}") from error
        self.multiple = int(getattr(self.network.encoder, "output_stride", 32))

    def forward(self, x: Tensor) -> Tensor:
        """Map images of any size, float (N, C, H, W), to logits, float (N, num_classes, H, W)."""
        height, width = x.shape[2:]
        return self.network(padded(x, self.multiple))[:, :, :height, :width]


def imported() -> Any:
    """Import segmentation_models_pytorch, or raise an error that says how to install it."""
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        needed("segmentation_models_pytorch", "model=smp", "smp")
        reason = describe_error(error)
        raise UserError(f"model=smp: segmentation_models_pytorch can't be imported: {reason}") from error
    return segmentation_models_pytorch


def check_names(smp: Any, name: str, encoder: str) -> None:
    """Raise a UserError if the package has no such decoder or encoder; none is fetched from elsewhere."""
    decoders = sorted(smp.MODEL_ARCHITECTURES_MAPPING)
    if name.lower() not in decoders:
        near = did_you_mean(name, decoders) or f"; there are {', '.join(decoders)}"
        raise UserError(f"model.name={name}: segmentation_models_pytorch has no such network{near}")
    own = smp.encoders.get_encoder_names()
    if encoder not in own and not encoder.startswith("tu-"):
        near = did_you_mean(encoder, own) or "; tu-NAME is one of timm's"
        raise UserError(f"model.encoder={encoder}: segmentation_models_pytorch has no such encoder{near}")
