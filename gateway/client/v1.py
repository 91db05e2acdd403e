"""All messages, enums and values of the interface, and the well-known types that they use: ``v1.ResetRequest``."""

from google.protobuf.duration_pb2 import Duration as Duration
from google.protobuf.field_mask_pb2 import FieldMask as FieldMask
from google.protobuf.timestamp_pb2 import Timestamp as Timestamp

from gateway.api.v1.messages import *  # noqa: F403
