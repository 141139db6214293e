"""Who a caller is: decided from the credential of a request alone.

credential      the credential in the headers of a request
api_keys        API keys as Secrets have them, and the table that finds a key that a client sent
own_limits      limits and a budget in the value of a key
key_files       the table of the mounted files, read again when they change
key_uses        when API keys were last used on any pod
tokens          signed tokens: verified once, then found by their keyed hash
verifiers       the verifiers of a configuration; jwt: those of named issuers
service_accounts  that of the ServiceAccounts of the cluster; review: TokenReview
issuer_keys     the public keys of an issuer: cached, refreshed, kept for a time; discovery: how they are fetched
jose            signatures and claims, by joserfc
administrators  who of them may use the admin port
authentication  from the headers of a request to its `Principal`

A credential of a client is compared by its keyed hash: neither the time of a comparison nor a dump of the memory
discloses a key.
"""
