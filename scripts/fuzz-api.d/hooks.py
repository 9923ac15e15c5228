"""Media types that schemathesis cannot write by itself."""

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/yaml")
def text(ctx, value):
    return value if isinstance(value, (str, bytes)) else str(value)
