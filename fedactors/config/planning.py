"""What a federation's actors are built from, as its configuration says: plans, terms and policies. Nothing runs here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

from fedactors.actors.aggregator import AggregationPlan
from fedactors.actors.blueprint import Blueprint
from fedactors.actors.compute import Compute
from fedactors.actors.learner_proxy import Neighbours, UploadPolicy
from fedactors.actors.messages import ToGateway
from fedactors.actors.room import BOUNDLESS, Room
from fedactors.actors.session_terms import SessionTerms
from fedactors.actors.training_plan import TrainingPlan
from fedactors.aggregation import Ordered, Weighting
from fedactors.config.differential import local as local_privacy
from fedactors.config.masking import mask_broker
from fedactors.config.plugging import (
    build_discount,
    build_form,
    build_protocol,
    build_rule,
    build_selection,
    build_storage,
    form_spec,
    scope,
)
from fedactors.config.sealing import kept_scope, sealing_spec
from fedactors.config.tables import Config
from fedactors.errors import ConfigError
from fedactors.form import Travelling
from fedactors.runtime import Actor
from fedactors.task import EvaluateParams, TrainParams


def blueprint(
    config: Config, gateway: Callable[[Neighbours], Actor[ToGateway]], compute: Compute, room: Room = BOUNDLESS
) -> Blueprint:
    """What a controller builds a federation from; `gateway` decides where its learners come from.

    Raises:
        ConfigError: updates to a model in shards cannot wait where it says.
    """
    return Blueprint(
        name=config.name,
        storage=build_storage(config),
        aggregation=aggregation_plan(config),
        training=training_plan(config),
        gateway=gateway,
        compute=compute,
        return_s=config.liveness.lost_after_s,
        join_timeout_s=config.learners.join_timeout_s,
        masks=mask_broker(config),
        room=room,
    )


def aggregation_plan(config: Config) -> AggregationPlan:
    """How updates are combined.

    Raises:
        ConfigError: updates to a model in shards cannot wait where it says.
    """
    rule = build_rule(config)
    return AggregationPlan(
        rule=Ordered(rule) if config.aggregation.deterministic and not rule.exact else rule,
        weighting=Weighting(config.aggregation.weighting),
        discount=build_discount(config),
        scope=kept_scope(config),
        uploads_max=config.limits.uploads_max,
        form=build_form(config),
        shards=config.aggregation.shards,
        shards_dir=_shards_dir(config),
    )


def _shards_dir(config: Config) -> Path:
    table = config.aggregation
    directory = config.base_dir / Path(table.shards_dir or gettempdir()).expanduser()
    if table.shards > 1 and not directory.is_dir():
        raise ConfigError(f"updates cannot wait in {directory}, which is no directory: name one as aggregation.shards_dir")
    return directory


def training_plan(config: Config) -> TrainingPlan:
    """What is scheduled; round, version and seed of a task are filled in when it is given."""
    train = config.train
    return TrainingPlan(
        protocol=build_protocol(config),
        selection=build_selection(config),
        train=TrainParams(
            round=0,
            version=0,
            seed=0,
            epochs=train.epochs,
            steps=train.steps,
            batch_size=train.batch_size,
            learning_rate=train.learning_rate,
            proximal_mu=train.proximal_mu,
            options=train.options,
        ),
        evaluate=EvaluateParams(round=0, version=0, options=config.evaluate.options),
        seed=config.seed,
        min_learners=config.learners.min,
        min_always=config.dp.amplification,
        selection_seed=config.dp.sampling_seed if config.dp.amplification else None,
        evaluate_every=config.evaluate.every,
        evaluate_timeout_s=config.evaluate.timeout_s,
        detail_learners_max=config.limits.detail_learners_max,
    )


def session_terms(config: Config) -> SessionTerms:
    """What learners are told when they are welcomed, and how many may come."""
    return SessionTerms(
        federation=config.name,
        heartbeat_s=config.liveness.heartbeat_s,
        lost_after_s=config.liveness.lost_after_s,
        hello_timeout_s=config.liveness.hello_timeout_s,
        scope=scope(config),
        learners_max=config.limits.learners_max,
        mailbox_messages_max=config.limits.mailbox_messages_max,
        learners_expected=config.learners.count,
        form=form_spec(config),
        form_optional=build_form(config).optional,
        sealing=sealing_spec(config),
        local_privacy=local_privacy(config),
    )


def upload_policy(config: Config) -> UploadPolicy:
    """What is checked of weights that come in."""
    return UploadPolicy(
        model_bytes_max=config.limits.model_bytes_max,
        weighting=Weighting(config.aggregation.weighting),
        rule=build_rule(config),
        refuse_not_finite=config.aggregation.refuse_not_finite,
        form=Travelling(build_form(config)),
    )
