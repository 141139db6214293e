"""Other servers, as subjects of the benchmark.

fastapi_openai       a relay of FastAPI and the official SDK
tensorzero_gateway   starts the gateway of TensorZero
"""
