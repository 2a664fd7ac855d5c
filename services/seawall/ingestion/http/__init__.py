"""Ingestion over HTTP: the operations of the gRPC service, for clients without gRPC."""
