#!/usr/bin/env python3
"""Runs fake-gcs-server on a port as Google Cloud Storage is: with the writes and pages of the XML API.

The server's own XML API only reads. Here a put becomes an upload of its JSON API, which decides the condition; the parts of
an upload are kept until it is complete; a listing is cut into pages. All other requests are the server's own. The answers
are those of https://cloud.google.com/storage/docs/xml-api/reference-methods.

    google_xml.py PORT fake-gcs-server ARGUMENT…        in which UPSTREAM is the port of the server
"""

import hashlib
import http.client
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

PAGE = 1000
UPLOADS = {}
# Whoever completes an upload takes it, so that it is completed once.
UPLOADS_LOCK = threading.Lock()


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream_port = 0
    upstream = None

    def log_message(self, format, *args):
        pass

    def ask(self, method, path, body=None, headers=None):
        """The status, headers and body of the server's own answer."""
        if self.upstream is None:
            self.upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port)
        headers = {"Content-Type": "application/octet-stream", **(headers or {})}
        self.upstream.request(method, path, body, headers)
        answer = self.upstream.getresponse()
        return answer.status, answer.headers, answer.read()

    def answer(self, status, body=b"", headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)) if length is None else length)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code):
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>no.</Message></Error>"
        self.answer(status, body.encode(), {"Content-Type": "application/xml"})

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(url.path)[1:].partition("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if bucket in ("storage", "_internal"):
            self.pass_on(body)
        elif self.ask("GET", f"/storage/v1/b/{bucket}")[0] == 404:
            self.refuse(404, "NoSuchBucket")
        elif not key and self.command == "GET":
            self.list(bucket, query)
        elif self.command == "POST" and "uploads" in query:
            self.begin(bucket, key)
        elif "uploadId" in query:
            self.go_on(bucket, key, query, body)
        elif self.command == "PUT":
            self.put(bucket, key, body, self.headers.get("x-goog-if-generation-match"))
        else:
            self.pass_on(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def pass_on(self, body):
        passed = {name: self.headers[name] for name in ("Range", "Content-Type") if name in self.headers}
        status, headers, body = self.ask(self.command, self.path, body, passed)
        if status == 404:
            return self.refuse(404, "NoSuchKey") if self.command != "HEAD" else self.answer(404)
        kept = {name: value for name, value in headers.items() if name not in ("Content-Length", "Transfer-Encoding")}
        # A deletion has no content to tell of.
        status, body = (204, b"") if self.command == "DELETE" and status == 200 else (status, body)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        return self.answer(status, body, kept, length)

    def upload(self, bucket, key, body, generation):
        condition = {} if generation is None else {"ifGenerationMatch": generation}
        query = urllib.parse.urlencode({"uploadType": "media", "name": key, **condition})
        status, _, answer = self.ask("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", body)
        return status, json.loads(answer) if status == 200 else None

    def put(self, bucket, key, body, generation):
        status, made = self.upload(bucket, key, body, generation)
        if made is None:
            return self.refuse(status, "PreconditionFailed" if status == 412 else "InternalError")
        return self.answer(200, b"", {"ETag": f'"{made["etag"]}"', "x-goog-generation": made["generation"]})

    def begin(self, bucket, key):
        name = secrets.token_hex(16)
        with UPLOADS_LOCK:
            UPLOADS[name] = (bucket, key, {})
        body = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        self.answer(200, body.encode(), {"Content-Type": "application/xml"})

    def go_on(self, bucket, key, query, body):
        name = query["uploadId"]
        with UPLOADS_LOCK:
            found = UPLOADS.get(name)
            if found is None or found[:2] != (bucket, key):
                return self.refuse(404, "NoSuchUpload")
            parts = found[2]
            if self.command == "PUT":
                tag = f'"{hashlib.md5(body).hexdigest()}"'
                parts[int(query["partNumber"])] = (tag, body)
            else:
                del UPLOADS[name]
        if self.command == "PUT":
            return self.answer(200, b"", {"ETag": tag})
        if self.command == "DELETE":
            return self.answer(204)
        pieces = []
        for part in ElementTree.fromstring(body).iter("Part"):
            tag, piece = parts.get(int(part.findtext("PartNumber")), (None, b""))
            if tag is None or tag != part.findtext("ETag"):
                return self.refuse(400, "InvalidPart")
            pieces.append(piece)
        status, made = self.upload(bucket, key, b"".join(pieces), None)
        if made is None:
            return self.refuse(status, "InternalError")
        result = f"<CompleteMultipartUploadResult><ETag>\"{escape(made['etag'])}\"</ETag></CompleteMultipartUploadResult>"
        headers = {"Content-Type": "application/xml", "x-goog-generation": made["generation"]}
        return self.answer(200, result.encode(), headers)

    def list(self, bucket, query):
        asked = {"prefix": query.get("prefix", ""), "maxResults": min(PAGE, int(query.get("max-keys", PAGE)))}
        if "continuation-token" in query:
            asked["pageToken"] = query["continuation-token"]
        status, _, answer = self.ask("GET", f"/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(asked)}")
        if status != 200:
            return self.refuse(status, "InternalError")
        page = json.loads(answer)
        items = "".join(
            f"<Contents><Key>{escape(item['name'])}</Key><Generation>{item['generation']}</Generation>"
            f"<LastModified>{item['updated']}</LastModified><ETag>\"{escape(item['etag'])}\"</ETag>"
            f"<Size>{item['size']}</Size></Contents>"
            for item in page.get("items") or []
        )
        following = page.get("nextPageToken")
        if following:
            items += f"<NextContinuationToken>{escape(following)}</NextContinuationToken>"
        body = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>{items}</ListBucketResult>"
        return self.answer(200, body.encode(), {"Content-Type": "application/xml"})


def main():
    port, *command = sys.argv[1:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        Front.upstream_port = free.getsockname()[1]
    command = [argument.replace("UPSTREAM", str(Front.upstream_port)) for argument in command]
    server = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", Front.upstream_port)).close()
                break
            except OSError:
                if server.poll() is not None:
                    sys.exit("the server did not start")
        front = ThreadingHTTPServer(("127.0.0.1", int(port)), Front)
        front.daemon_threads = True
        front.serve_forever()
    finally:
        server.terminate()
        server.wait()


main()
