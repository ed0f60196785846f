"""ML Metadata's service over its own store, which is C++ in a Python package.

    python kubeflow_metadata.py FILE PORT

It runs in the environment of `kubeflow-server.txt`. A request is handed to the store as it came in,
and its answer goes out as it is.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as extension
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

_SERVICE = metadata_store_service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def serve(file: str, port: int) -> grpc.Server:
    """Start the service; what it keeps is in the file."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = file
    config.sqlite.connection_mode = 3  # made if it is not there
    options = metadata_store_pb2.MigrationOptions()
    store = extension.CreateMetadataStore(config.SerializeToString(), options.SerializeToString())
    lock = threading.Lock()

    def handler(name: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        method = getattr(extension, name)

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            with lock:
                response, message, status = method(store, request)
            if status:
                context.abort(_CODES[status], message.decode(errors="replace"))
            return bytes(response)

        return answer

    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(handler(method.name))
        for method in _SERVICE.methods
        if hasattr(extension, method.name)
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE.full_name, methods),)
    )
    server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    return server


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2])).wait_for_termination()
