"""Asks for an explanation with KServe's client: `explain.py URL MODEL INSTANCES`. Prints the answer."""

import asyncio
import json
import sys

from kserve import InferenceRESTClient, RESTConfig


async def main(url, model, instances):
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0, timeout=30))
    answer = await client.explain(url, model, {"instances": json.loads(instances)})
    print(json.dumps(answer))


asyncio.run(main(*sys.argv[1:]))
