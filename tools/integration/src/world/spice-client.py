"""A SPICE client without a window: says what its session and channels meet, a JSON object a line. It ends with its standard input.

usage: spice-client.py HOST PORT TLS_PORT CA_FILE CERT_SUBJECT, "-" for what there is not; a password is the first line of standard input.
"""
import json
import sys

import gi

gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, GObject, SpiceClientGLib  # noqa: E402

# The session's own `connect` hides that of its signals.
on = GObject.GObject.connect


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


def on_channel(_, channel):
    kind = type(channel).__name__.removesuffix("Channel").lower()
    on(channel, "channel-event", lambda _, event: say("channel", channel=kind, event=event.value_nick))
    if kind == "main":
        on(channel, "migration-started", lambda *_: say("migration-started"))
        return
    if kind == "display":
        on(channel, "display-primary-create", lambda *_: say("picture"))
    # Each of them, as a viewer does: a session goes on once all that it has have gone.
    channel.connect()


def on_migration(*_):
    """At its end these are of the server that the session is connected to by now."""
    server = {name: session.get_property(name) for name in ("host", "port", "tls-port", "cert-subject")}
    say("migration", state=session.get_property("migration-state").value_nick, **server)


session = SpiceClientGLib.Session()
session.set_property("enable-audio", False)
names = ("host", "port", "tls-port", "ca-file", "cert-subject")
given = dict(zip(names, sys.argv[1:]), password=sys.stdin.readline().strip() or "-")
for name, value in given.items():
    if value != "-":
        session.set_property(name, value)
if given["cert-subject"] != "-":
    session.set_property("verify", SpiceClientGLib.SessionVerify.SUBJECT)

loop = GLib.MainLoop()
on(session, "channel-new", on_channel)
on(session, "notify::migration-state", on_migration)
on(session, "disconnected", lambda *_: (say("disconnected"), loop.quit()))
GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
say("connecting", ok=session.connect())
loop.run()
