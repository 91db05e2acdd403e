"""The operator's console: pages in a browser over the public gRPC contract, in a process of its own.

A client like any other: the gateway decides about what a person may see and do, for each call carries that person's
credential. It keeps no data; what it knows of a person is in that person's cookie, encrypted.
"""
