"""SNS: Publish, PublishBatch.

Messages to telephones and to single devices go as they are: nobody reads a context there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.integration.formats import aws
from asyncdsm_botocore import attributes
from asyncdsm_botocore.departing import OURS, counting, failed_ids, harmless, is_followed, none_failed

_SENT = attributes.Kind("Message", "Binary")


def handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by their events."""
    return {
        "before-parameter-build.sns.Publish": _publish,
        "after-call.sns.Publish": counting(none_failed),
        "before-parameter-build.sns.PublishBatch": _publish_batch,
        "after-call.sns.PublishBatch": counting(failed_ids),
    }


@harmless
def _publish(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    topic = _topic(params.get("TopicArn") or params.get("TargetArn"))
    if topic and is_followed(context):
        message, leaving = attributes.address(params, _SENT, aws.edge("out", "sns", topic))
        params.update(message)
        context[OURS] = [leaving]


@harmless
def _publish_batch(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    topic, entries = _topic(params.get("TopicArn")), params.get("PublishBatchRequestEntries")
    if topic and isinstance(entries, list | tuple) and is_followed(context):
        edge = aws.edge("out", "sns", topic)
        params["PublishBatchRequestEntries"], context[OURS] = attributes.address_all(entries, _SENT, edge)


def _topic(arn: Any) -> str | None:
    """Return the ARN of a topic; a device's has a path, and there is an edge to each where one were made."""
    return arn if isinstance(arn, str) and "/" not in arn else None
