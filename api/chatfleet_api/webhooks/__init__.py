"""Webhooks of the ChatDeployment and of users: events are queued in Redis, and sent by one pod.

- `event`: an event, and the notice of it that is queued for each webhook
- `queue`: the queue of each webhook: its keys, and the scripts that are its steps
- `inactivity`: what is held in Redis until a user is inactive: its keys, and the scripts that are its steps
- `inactive_users`: queues that for the users that are inactive by now
- `presence`: which users this pod has requests of
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
