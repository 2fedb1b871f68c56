"""A large artifact up and down, beside a plain file server that hashes nothing, keeps nothing twice and asks nobody.

    python3 benches/mlflow/artifacts.py --ours target/release/loopwright [--megabytes 256] [--rounds 5]

The plain server is this file's own: one thread that writes what `recv` gives and answers with `sendfile`. Both get the same bytes from
the same client, in turn; printed are the medians of the rounds, their ratio, and how far the server's memory rose above idle.
"""

import argparse
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from side_by_side import Server, free_port

BLOCK = os.urandom(1 << 20)


def serve_plainly(port, folder):
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                answer(connection, folder)


def answer(connection, folder):
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(65_536)
        if not got:
            return
        head += got
    head, rest = head.split(b"\r\n\r\n", 1)
    method, path, _ = head.split(b"\r\n")[0].split(b" ")
    file = Path(folder) / path.decode().rsplit("/", 1)[1]
    if method == b"PUT":
        length = int(re.search(rb"content-length: *(\d+)", head, re.I)[1])
        buffer = memoryview(bytearray(1 << 20))
        with file.open("wb") as out:
            out.write(rest)
            left = length - len(rest)
            while left:
                got = connection.recv_into(buffer, min(left, len(buffer)))
                out.write(buffer[:got])
                left -= got
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return
    size = file.stat().st_size
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
    with file.open("rb") as source:
        connection.sendfile(source)


def put(port, path, megabytes):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"Content-Length": str(megabytes << 20), "Content-Type": "application/octet-stream"}
    started = time.monotonic()
    connection.request("PUT", path, (BLOCK for _ in range(megabytes)), headers)
    reply = connection.getresponse()
    reply.read()
    if reply.status != 200:
        sys.exit(f"PUT {path}: {reply.status}")
    return megabytes / (time.monotonic() - started)


def get(port, path, megabytes):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    started = time.monotonic()
    connection.request("GET", path)
    reply, size, buffer = connection.getresponse(), 0, bytearray(1 << 20)
    while got := reply.readinto(buffer):
        size += got
    if reply.status != 200 or size != megabytes << 20:
        sys.exit(f"GET {path}: {reply.status}, {size} bytes")
    return megabytes / (time.monotonic() - started)


class Watch(threading.Thread):
    """The most memory that a process had while this ran: RSS without mapped files."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.most, self.ended = Path(f"/proc/{pid}/status"), 0, threading.Event()
        self.start()

    def now(self):
        return int(re.search(r"RssAnon:\s+(\d+)", self.status.read_text())[1]) / 1024

    def run(self):
        while not self.ended.wait(0.01):
            self.most = max(self.most, self.now())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="target/release/loopwright")
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plain", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain:
        serve_plainly(int(args.plain[0]), args.plain[1])
        return
    command = [str(Path(args.ours).resolve()), "up", "--data-dir", "{dir}/data", "--listen", "127.0.0.1:{port}"]
    server = Server("loopwright", command, args)
    folder, port = tempfile.TemporaryDirectory(), free_port()
    plain = subprocess.Popen([sys.executable, __file__, "--plain", str(port), folder.name])
    try:
        time.sleep(0.5)
        experiment = server.experiment("artifacts")
        run = server.run(experiment)
        watch = Watch(server.process.pid)
        idle = watch.now()
        rates = {(who, way): [] for who in ("loopwright", "plain") for way in ("up", "down")}
        for number in range(args.rounds):
            # Other bytes each time: what is there already is not written again.
            globals()["BLOCK"] = os.urandom(1 << 20)
            own = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/{number}.bin"
            for who, at, path in (("loopwright", server.port, own), ("plain", port, f"/{number}.bin")):
                rates[who, "up"].append(put(at, path, args.megabytes))
                rates[who, "down"].append(get(at, path, args.megabytes))
        watch.ended.set()
        watch.join()
        print(f"| {args.megabytes} MB | loopwright MB/s | plain file server MB/s | ratio |\n|---|---|---|---|")
        for way in ("up", "down"):
            ours, theirs = (statistics.median(rates[who, way]) for who in ("loopwright", "plain"))
            ratio = statistics.median(a / b for a, b in zip(rates["loopwright", way], rates["plain", way], strict=True))
            print(f"| {way} | {ours:,.0f} | {theirs:,.0f} | {ratio:.2f} |")
        print(f"\nmemory above idle: {watch.most - idle:.0f} MB at most")
    finally:
        plain.kill()
        server.stop()


if __name__ == "__main__":
    main()
