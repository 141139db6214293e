"""The vendors' APIs. A new provider type is one row of `table`, and one folder for what differs.

- `table`: a row for each type: URLs, authentication, framing, body, parser (`VENDORS`);
  `providers.vendor` has its columns
- `<vendor>/`: requests and answers of one vendor; see `table.py`, which imports from each

A folder has `request` (the request in the vendor's terms), `stream` (the parser of its answer) and, where the vendor
has names of errors that `providers.upstream_errors` does not know, `errors`. A vendor that is like OpenAI has only
what differs, or no folder.
"""
