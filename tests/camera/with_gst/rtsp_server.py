"""A real RTSP server. usage: rtsp_server.py PORT [user:password] [udp]; prints `ready`."""

import sys

import gi

for namespace in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(namespace, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURES = (
    "( videotestsrc is-live=true pattern=ball "
    "! video/x-raw,format=I420,width=320,height=240,framerate=20/1 "
    "! jpegenc ! rtpjpegpay name=pay0 )"
)

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(PICTURES)
factory.set_shared(True)
for word in sys.argv[2:]:
    if word == "udp":
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        continue
    user, _, password = word.partition(":")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    allowed = GstRtspServer.RTSPPermissions()
    allowed.add_permission_for_role("viewer", "media.factory.access", True)
    allowed.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(allowed)
server.get_mount_points().add_factory("/roof", factory)
if not server.attach(None):
    sys.exit("the port is taken")
print("ready", flush=True)
GLib.MainLoop().run()
