"""What answers have used and what that costs: recorded once for each, and summed.

- `attempts`: what the attempts of one run have used, noted where each attempt ends
- `rates`: prices of the kinds of tokens, and the cost of an answer by them
- `price_list`: the shipped price list (`prices.json`, generated from genai-prices), and which entry a model has
- `price_book`: the prices of the models of one runtime configuration
- `record`: the usage record of one answer, and what it adds to the sums
- `settlement`: what a record adds to the sums in Redis
- `ledger`: the sums: what every ledger promises, and their rows
- `redis_ledger`, `ledger_script`: the ledger of a fleet; its step also ends a run that is logged
- `open_answers`: answers under way that no log has; `sweep`: counts those of pods that have died
- `memory_ledger`: the ledger of a process without Redis
- `report`: filters and groups of the sums; `tables`: the sums as CSV and FOCUS
"""
