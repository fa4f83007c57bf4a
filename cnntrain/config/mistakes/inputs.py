"""What makes no sense for what the network gets: images, time series or texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnntrain.config.conf_files import default_of
from cnntrain.config.inputs import IMAGES, inputs_of
from cnntrain.config.keys import CLASS_GROUPS, KEYS, is_described, leaves
from cnntrain.errors import UserError
from cnntrain.text import shown

READERS = ("RNN", "LSTM", "GRU", "Transformer")  # our networks that read sequences of unequal length


def check_inputs(config: Mapping[str, Any]) -> None:
    """Refuse what makes no sense for what the network gets: images, series or text."""
    inputs = inputs_of(config["data"])
    for key, value in leaves(config):
        kinds = KEYS[key].inputs if key in KEYS else ()
        group = key.partition(".")[0]
        is_of_others = group in CLASS_GROUPS and not is_described(config[group]["_target_"])
        if not kinds or inputs in kinds or is_of_others:
            continue
        if value and shown(value) != default_of(key):
            raise UserError(
                f"{key}={shown(value)} is for {' or '.join(kinds)}, and these data have {inputs}: "
                "leave it out"
            )
    check_sequences(config, inputs)


def check_sequences(config: Mapping[str, Any], inputs: str) -> None:
    """Check that values fit the steps of sequences, and that the network reads such."""
    data, target = config["data"], config["model"]["_target_"]
    if inputs == IMAGES:
        return
    for key in ("mean", "std"):
        if len(data.get(key, [0])) not in (1, data.get("features", 1)):
            raise UserError(
                f"data.{key}={shown(data[key])} has {len(data[key])} values for data.features="
                f"{data['features']}: give one for each feature, or one for all"
            )
    if data["targets"] != "classes":
        raise UserError(f"data.targets={data['targets']} is for images, and these data have {inputs}")
    if target.startswith("cnntrain.models.") and target.rpartition(".")[2] not in READERS:
        name = target.rpartition(".")[2]
        raise UserError(
            f"model: {name} takes images, and these data have {inputs}: "
            "take model=rnn, lstm, gru or transformer"
        )
