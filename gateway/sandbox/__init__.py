"""The sandbox: a provider inside this process, for demonstrations, tests and load tests. No key, no network, no model.

It speaks OpenAI's wire (https://platform.openai.com/docs/api-reference/chat) and is deterministic: equal requests get
equal bytes. Every answer says that no model was called. What it does depends on the request:

- A designator's prompt is answered with the candidate whose purpose shares most words with the latest ask; how words
  are compared is written in :mod:`gateway.sandbox.designate`. On a tie the first wins.
- Any other chat gets a short echo. One word is one token: in the usage, and for ``max_tokens``.
- Where a tool must be called, or the ask mentions one by name, the answer calls it with the least arguments that its
  JSON Schema demands; a tool's result is echoed. JSON mode gets JSON, after the schema where there is one.
- The model ``slow`` takes three seconds, ``down`` answers 503, and ``cut`` stops in the middle of its answer. Any other
  name is a model that works.
"""

from __future__ import annotations

from gateway.sandbox.transport import SandboxTransport

__all__ = ["SandboxTransport"]
