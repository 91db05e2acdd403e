"""All messages, enums and values of the interface, and the well-known types that they use."""

from gateway_client.api.v1.messages import *  # noqa: F403
from gateway_client.protobuf_types import Duration as Duration
from gateway_client.protobuf_types import FieldMask as FieldMask
from gateway_client.protobuf_types import Timestamp as Timestamp
