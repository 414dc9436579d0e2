"""An HTTP server on this machine that serves one file well, badly or not at all."""

import base64
import contextlib
import hashlib
import http.server
import re
import threading


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every address; the address's first part says how (see `Handler`)."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.requests = []  # (path, Range header)
        self.sent = 0  # bytes of bodies
        self.half_sent = threading.Event()
        self.go_on = threading.Event()

    def url(self, how, name="file.bin"):
        return f"http://127.0.0.1:{self.server_port}/{how}/{name}"

    def handle_error(self, request, client_address):
        """Clients that are killed or give up are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    """`do_GET` calls the method that the address names."""

    def do_GET(self):  # noqa: N802
        self.server.requests.append((self.path, self.headers.get("Range")))
        getattr(self, self.path.split("/")[1])(self.server.content)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *arguments):
        """A quiet server."""

    def body(self, content):
        if self.command == "HEAD":
            return
        for start in range(0, len(content), 1 << 16):
            piece = content[start : start + (1 << 16)]
            self.wfile.write(piece)
            self.server.sent += len(piece)

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def start(self, content):
        """Answers the head, from where the client asks for; returns what is to follow."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None:
            self.head(200, Content_Length=len(content))
            return content
        start, end = int(asked[1]), len(content)
        if start >= end:
            self.head(416, Content_Range=f"bytes */{end}", Content_Length=0)
            return b""
        self.head(206, Content_Range=f"bytes {start}-{end - 1}/{end}", Content_Length=end - start)
        return content[start:]

    # How the file may be served.

    def well(self, content):
        self.body(self.start(content))

    def without_range(self, content):
        self.head(200, Content_Length=len(content))
        self.body(content)

    def without_length(self, content):
        self.head(200)
        self.body(content)

    def in_chunks(self, content, end=b"0\r\n\r\n"):
        self.protocol_version = "HTTP/1.1"
        self.close_connection = True
        self.head(200, Transfer_Encoding="chunked")
        for start in range(0, len(content), 1 << 16):
            piece = content[start : start + (1 << 16)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(end)

    def in_chunks_dropped(self, content):
        self.in_chunks(content[: len(content) // 2], end=b"")

    def dropped(self, content):
        """Half of what is missing, each time."""
        rest = self.start(content)
        self.body(rest[: len(rest) // 2])

    def dropped_without_range(self, content):
        self.head(200, Content_Length=len(content))
        self.body(content[: len(content) // 2])

    def halted(self, content):
        """Half, then nothing until the test says so."""
        rest = self.start(content)
        self.body(rest[: len(rest) // 2])
        self.server.half_sent.set()
        self.server.go_on.wait(30)
        self.body(rest[len(rest) // 2 :])

    def silent(self, content):
        self.server.go_on.wait(30)

    def too_short(self, content):
        """A length that is less than what follows."""
        self.head(200, Content_Length=len(content) // 2)
        self.body(content)

    def too_long(self, content):
        """A length that is more than what follows."""
        self.head(200, Content_Length=len(content) * 2)
        self.body(content)

    def truncated(self, content):
        """What a server has whose own file is a half."""
        self.well(content[: len(content) // 2])

    def elsewhere(self, content):
        """A range that was not asked for."""
        self.head(206, Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
        self.body(content)

    def redirected(self, content):
        self.head(302, Location=self.server.url("well"))

    def on_the_hub(self, content):
        """Like the Hugging Face Hub, which redirects and states the sha256 on the way."""
        stated = f'"{hashlib.sha256(content).hexdigest()}"'
        self.head(302, Location=self.server.url("well"), X_Linked_Etag=stated)

    def misstated(self, content):
        """Like the Hub, of another file than the one that is sent."""
        self.head(302, Location=self.server.url("truncated"), X_Linked_Etag=f'"{"0" * 64}"')

    def in_storage(self, content):
        """Like Google's storage, which states a checksum and a hash in one header."""
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        self.head(200, Content_Length=len(content), x_goog_hash=f"crc32c=AAAAAA==,md5={md5}")
        self.body(content)

    def damaged_in_storage(self, content):
        """What is stored has changed since it was hashed."""
        md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        self.head(200, Content_Length=len(content), x_goog_hash=f"md5={md5}")
        self.body(content)

    def to_a_file(self, content):
        self.head(302, Location="file:///etc/hostname")

    def to_ftp(self, content):
        self.head(302, Location="ftp://127.0.0.1/file.bin")

    def in_circles(self, content):
        self.head(302, Location=self.server.url("in_circles"))

    def missing(self, content):
        self.send_error(404)

    def forbidden(self, content):
        self.send_error(403)

    def broken(self, content):
        self.send_error(500)

    def rude(self, content):
        """No HTTP at all."""
        self.wfile.write(b"hello\r\n")


@contextlib.contextmanager
def serving(content):
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()
