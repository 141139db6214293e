"""Administration of a ChatDeployment, on a port of its own: for those whom `spec.access.admin` names.

Administrators see all tenants, and no content: no message, no title, no metadata.

port            opens and closes the port as the configuration wants it
app             the application: routes, middleware
answers         JSON responses
services        what the routes work with
configuration   the configuration that is served, the level of the logs, when API keys were last used
masking         what of a configuration is not shown
runs            answers that are being written: list, cancel
sessions        conversations of a tenant: list, one, cleanup by age
cache           the response cache: what is in it, clear
tasks           what pods do in the background: list, one, cancel
events          what happens, as it happens
usage           what the ChatDeployment, or a tenant, has used
webhooks        queues of webhooks; dead letters: list, replay, delete
"""
