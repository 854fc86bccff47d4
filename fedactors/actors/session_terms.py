"""What a learner is told when it is welcomed, and what keeps one from being welcome at all."""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.actors.messages import Admission
from fedactors.dp.local import LocalPrivacy
from fedactors.form import AS_IT_IS, FormSpec
from fedactors.privacy.sealing import UNSEALED, SealingSpec
from fedactors.protocol import WIRE_VERSION, Hello, Welcome
from fedactors.scope import WHOLE, Scope
from fedactors.storage.entries import learner_problem
from fedactors.task import number_problem

EAGER_BYTES_MAX = 256 * 1024 * 1024
"""Weights that all learners together may send without a grant: that much memory they can take here at the same time."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What every learner is told when it is welcomed, and how many may come.

    Attributes:
        federation: its name; a learner that names another one is turned away.
        heartbeat_s: seconds between two signs of life.
        lost_after_s: seconds of silence that make a loss.
        chunk_bytes: of weights in one frame.
        scope: which of their tensors travel.
        learners_max: at the same time.
        mailbox_messages_max: that may wait for one learner's proxy.
        hello_timeout_s: how long a new connection may take to say who it is.
        learners_expected: as many as these share what may be sent without a grant.
        form: in which updates are wished for, of learners that know it.
        form_optional: others may take part, and send theirs as they are.
        sealing: how versions and updates are encrypted among the learners.
        local_privacy: how updates are clipped and given noise before they leave.
    """

    federation: str
    heartbeat_s: float = 1.0
    lost_after_s: float = 5.0
    chunk_bytes: int = 1024 * 1024
    scope: Scope = WHOLE
    learners_max: int = 10_000
    mailbox_messages_max: int = 10_000
    hello_timeout_s: float = 10.0
    learners_expected: int = 1
    form: FormSpec = AS_IT_IS
    form_optional: bool = True
    sealing: SealingSpec = UNSEALED
    local_privacy: LocalPrivacy | None = None

    def form_for(self, hello: Hello) -> FormSpec:
        """In which form a learner's updates are wished for."""
        return self.form if self.form.name in hello.forms else AS_IT_IS

    def problem(self, hello: Hello) -> str | None:
        """Why a learner cannot take part, whoever else does, in words; None if it can."""
        if hello.wire_version != WIRE_VERSION:
            said = f"this controller speaks wire version {WIRE_VERSION}, the learner {hello.wire_version}"
            return f"{said}: install matching releases"
        if (problem := learner_problem(hello.learner)) is not None:
            return problem
        for name in ("num_train_examples", "num_test_examples"):
            if (problem := number_problem(name, getattr(hello, name))) is not None:
                return problem
        if (tag := next((tag for tag in hello.tags if not tag.isprintable()), None)) is not None:
            return f"the tag {tag!r:.80} is not printable; name it with letters and digits"
        if hello.federation and hello.federation != self.federation:
            return f"no federation named {hello.federation!r:.80} is served here; this one is {self.federation!r}"
        if not self.form_optional and not self.form_for(hello).name:
            return f"updates travel in the form {self.form.name!r} here, which this learner's software does not know"
        return None

    def welcome(self, hello: Hello, admission: Admission, *, learners: int) -> Welcome:
        """The answer to a learner that takes part, as one of so many."""
        return Welcome(
            token=admission.token,
            heartbeat_s=self.heartbeat_s,
            lost_after_s=self.lost_after_s,
            chunk_bytes=self.chunk_bytes,
            resumed=admission.resumed,
            federation=self.federation,
            local=self.scope.local,
            shared=self.scope.shared,
            variates=self.scope.variates,
            form=self.form_for(hello),
            sealing=self.sealing,
            local_privacy=self.local_privacy,
            eager_bytes=min(self.chunk_bytes, EAGER_BYTES_MAX // max(self.learners_expected, learners)),
        )
