"""The waiting room: holds requests while there is no API pod, and passes them on when there is one.

A process of its own, from the API's image. It is in the path of requests only while the Deployment is at zero, or on
its way there or back. It knows no conversation, no model and no key.
"""
