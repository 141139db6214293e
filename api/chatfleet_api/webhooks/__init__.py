"""Webhooks of the ChatDeployment and of users: events are queued in Redis, and sent by one pod.

- `event`: an event, and the notice of it that is queued for each webhook
- `queue`: the queue of each webhook: its keys, and the scripts that are its steps
- `outbox`: makes notices, and queues those that no other step queues
- `schedule`: what is due: order within a conversation, back-off; pure
- `signing`: signatures by Standard Webhooks, and the secrets in mounted files
- `request`: one request to a receiver
- `user_webhook`: the webhook of a user, and the interface of their store
- `user_url`: which URLs users may name; pure
- `users`: that store in Redis
- `receivers`: where the events of a queue are sent
- `delivery`: sends the events of one webhook
- `dead_letters`: what administrators see of the queues; replays and deletes dead letters
- `sender`: sends those of all, while this pod has the lease
"""
