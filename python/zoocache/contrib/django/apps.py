"""The application that INSTALLED_APPS names; it follows every connection from then on."""

from __future__ import annotations

from django.apps import AppConfig

from zoocache.contrib.django import _connections, _start


class ZoocacheConfig(AppConfig):
    """Follows all connections, also those of threads that come later.

    `settings.ZOOCACHE_DATABASES` gives options by the name of the connection in DATABASES:
        alias: the database's name in tags, the same in every program that uses it (str). Default:
            the connection's name, or of several with the same HOST, PORT and NAME the first one's.
        reads, writes: see `zoocache.contrib._database.Database`.
        replica_of: the connection's name whose replica this one is (str).
        replica_lag: seconds that the replica is behind at the most (float). Default: what is read
            there is not stored.
        key_context: a function without arguments, or its dotted path, that returns what decides
            beside the arguments what is read: a tenant, a role, a schema. It is called at every
            cached call, and a part of every key.
        outbox: True, or the name of a table that `outbox.create_outbox` made: what a commit changes
            is kept there until it is invalidated. Default: False.
        outbox_interval: seconds from one look for what others have left there to the next (float).
            Default: 5.
        enabled: whether it is followed (bool). Default: True.
    """

    name = "zoocache.contrib.django"
    label = "zoocache"
    verbose_name = "Zoocache"

    def ready(self) -> None:
        """Begins; called by Django once all models are there.

        Raises:
            ImproperlyConfigured: `ZOOCACHE_DATABASES` is not as described above.
        """
        _connections.check_options()
        _connections.add_contexts()
        _start.begin()
